"""What CSI's latents and directions do: measured, named, shown."""
