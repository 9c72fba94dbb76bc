"""Running a sale: its states, its offers, its drops. Importing this package registers the commands of all three."""

from livesale.sales.commands import drops, offers, sales

__all__ = ["drops", "offers", "sales"]
