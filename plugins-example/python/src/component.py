# What the component exports: the handlers, run by the SDK.
import handlers  # noqa: F401
from pgq.component import BatchHandler, Describe, Handler  # noqa: F401
