"""Pictures: checked, turned upright, stripped of what the camera wrote about them, and made small enough for phones."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import BinaryIO
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.db import transaction
from PIL import Image, ImageOps, UnidentifiedImageError
from uuid_utils.compat import uuid7

from commerce.catalogue import errors
from commerce.catalogue.models import Media, Product
from commerce.errors import Refused

WIDTHS = (160, 480, 1080)
MOST_BYTES = 15 * 1024 * 1024
MOST_PIXELS = 50_000_000
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")  # phones' multi-picture files begin as JPEG


def add_media(*, shop_id: UUID, product_id: UUID, file: BinaryIO, now: datetime, alt: str = "") -> Media:
    """Keep an uploaded picture of a product with renditions in three widths, never wider than the picture itself.

    Raises `Refused`: ``product.unknown``, ``media.too_large``, ``media.too_many_pixels``, ``media.not_an_image``.
    """
    if not Product.objects.filter(id=product_id, shop_id=shop_id).exists():
        raise Refused(errors.UNKNOWN)
    picture = _read(file)
    media = Media(
        id=uuid7(), shop_id=shop_id, product_id=product_id, width=picture.width, height=picture.height,
        alt=alt[:200], created_at=now,
    )  # fmt: skip
    storage: Storage = Media._meta.get_field("file").storage
    written: list[str] = []
    try:
        media.file.save("original.webp", ContentFile(_encode(picture)), save=False)
        written.append(str(media.file))
        for width in WIDTHS:
            small = picture.copy()
            small.thumbnail((width, MOST_PIXELS), Image.Resampling.LANCZOS)
            path = f"shops/{shop_id}/media/{media.id}/{width}.webp"
            name = storage.save(path, ContentFile(_encode(small)))
            written.append(name)
            media.renditions[str(width)] = {"file": name, "width": small.width, "height": small.height}
        with transaction.atomic():
            media.save(force_insert=True)
    except BaseException:
        for name in written:
            storage.delete(name)
        raise
    return media


def _read(file: BinaryIO) -> Image.Image:
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Refused(errors.MEDIA_TOO_LARGE, most=MOST_BYTES)
    try:
        upload = Image.open(BytesIO(data), formats=_FORMATS)
        if upload.width * upload.height > MOST_PIXELS:
            raise Refused(errors.MEDIA_TOO_MANY_PIXELS, most=MOST_PIXELS)
        upload.load()
        picture = ImageOps.exif_transpose(upload)
    except Image.DecompressionBombError as error:
        raise Refused(errors.MEDIA_TOO_MANY_PIXELS, most=MOST_PIXELS) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise Refused(errors.MEDIA_NOT_AN_IMAGE) from error
    mode = "RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB"
    clean = Image.new(mode, picture.size)
    clean.paste(picture.convert(mode))
    return clean


def _encode(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "WEBP", quality=82, method=4)
    return out.getvalue()
