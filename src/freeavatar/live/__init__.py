"""Camera -> controls at frame rate -> other programs; drops frames and never queues them."""
