"""The browser page: layout, handlers, look. The environment is set here because gradio reads it on import."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("GRADIO_QUEUE_SESSION_RESUME_TTL", "60")
