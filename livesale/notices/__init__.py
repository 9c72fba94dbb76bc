"""Telling people who are not looking: mail about turns, holds about to lapse, receipts, refunds."""
