"""Why a change of the catalogue was refused."""

CODE_TAKEN = "product.code_taken"  # taken
UNKNOWN = "product.unknown"
BAD_CODE = "product.bad_code"
BAD_PRICE = "product.bad_price"
MEDIA_TOO_LARGE = "media.too_large"  # most: bytes
MEDIA_TOO_MANY_PIXELS = "media.too_many_pixels"  # most: pixels
MEDIA_NOT_AN_IMAGE = "media.not_an_image"
