"""What CSI's latents do: measured, named, shown."""
