"""Every address below `/api/v1/`."""

from __future__ import annotations

from django.urls import path, re_path

from livesale.rest import docs, errors, keys, me, orders, personal, rooms, shops, streams

urlpatterns = [
    path("streams/<uuid:stream>/commands/<str:name>/", streams.CommandView.as_view()),
    path("streams/<uuid:stream>/snapshot/", streams.SnapshotView.as_view()),
    path("streams/<uuid:stream>/events/", streams.EventsView.as_view()),
    path("streams/<uuid:stream>/messages/", streams.MessagesView.as_view()),
    path("me/", me.MeView.as_view()),
    path("me/panel/", me.PanelView.as_view()),
    path("me/ticket/", me.TicketView.as_view()),
    path("me/export/", personal.ExportView.as_view()),
    path("me/erasure/", personal.ErasureView.as_view()),
    path("rooms/join/", rooms.JoinView.as_view()),
    path("rooms/<uuid:room>/", rooms.RoomView.as_view()),
    path("shops/", shops.ShopsView.as_view()),
    path("shops/<str:shop>/", shops.ShopView.as_view()),
    path("shops/<str:shop>/products/", shops.ProductsView.as_view()),
    path("shops/<str:shop>/products/<uuid:product>/media/", shops.MediaView.as_view()),
    path("shops/<str:shop>/rooms/", shops.RoomsView.as_view()),
    path("shops/<str:shop>/orders/", orders.OrdersView.as_view()),
    path("shops/<str:shop>/orders/<uuid:order>/", orders.OrderView.as_view()),
    path("shops/<str:shop>/orders.csv", orders.ExportView.as_view()),
    path("shops/<str:shop>/tickets/", keys.ShopTicketsView.as_view()),
    path("schema/", docs.schema),
    path("docs/", docs.pages),
    re_path("", errors.not_found),
]
