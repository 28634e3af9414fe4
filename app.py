"""Builds the page and launches it."""

from csi_demo.ui.launch import run

if __name__ == "__main__":
    run()
