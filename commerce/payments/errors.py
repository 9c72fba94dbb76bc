"""Why news of a payment was not believed."""

SIGNATURE = "webhook.signature"  # missing, malformed or made with another key
STALE = "webhook.stale"  # older or newer than the tolerance
MALFORMED = "webhook.malformed"
UNSUPPORTED = "webhook.unsupported"  # this gateway sends none
GATEWAY_UNKNOWN = "payment.gateway_unknown"
METHOD_UNKNOWN = "payment.method_unknown"
