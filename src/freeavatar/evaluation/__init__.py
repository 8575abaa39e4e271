"""Judging what was trained: pictures and peers in, numbers and sheets out."""
