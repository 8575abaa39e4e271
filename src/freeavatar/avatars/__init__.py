"""The characters that are driven: files, rigs, poses, pictures."""
