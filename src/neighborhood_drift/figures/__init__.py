"""Figures of the study: one public function a figure, each reads a tidy table and returns a Figure."""
