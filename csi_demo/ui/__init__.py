"""The browser page: layout, handlers, look. The environment is set here because gradio reads it on import."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # heeded by Gradio's client, which MCP calls come by
os.environ.setdefault("GRADIO_QUEUE_SESSION_RESUME_TTL", "60")
