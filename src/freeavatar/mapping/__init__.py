"""What other programs call the movements of a face: profiles of names, and the user's own maps."""
