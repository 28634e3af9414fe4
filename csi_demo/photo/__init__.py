"""Photos: reading them, finding faces, laying the frame, and putting a filled frame back."""
