"""Who is in the demo: three log-ins to try, and the crowd."""

from __future__ import annotations

from typing import NamedTuple

from allauth.account.models import EmailAddress

from livesale.accounts.models import User

PASSWORD = "a-quiet-evening"  # nosec B105  # noqa: S105 - printed on the terminal, good for the demo only
HOST = "host@demo.local"
BUYER = "buyer@demo.local"
MODERATOR = "moderator@demo.local"
CROWD_DOMAIN = "crowd.demo.local"
MOST = 200


class Someone(NamedTuple):
    """A person of the crowd: name, language, and where parcels go."""

    name: str
    language: str
    city: str
    postcode: str
    street: str


CROWD = (
    Someone("Ana Marín", "es", "Valencia", "46001", "Calle de la Paz 12"),
    Someone("Jonas Weber", "de", "Leipzig", "04109", "Nikolaistraße 8"),
    Someone("Mei Lin", "zh-hans", "Shanghai", "200031", "Fuxing Zhong Lu 88"),
    Someone("Chiara Rossi", "it", "Bologna", "40121", "Via Galliera 31"),
    Someone("Tom Becker", "de", "Kiel", "24103", "Holtenauer Straße 4"),
    Someone("Priya Nair", "en", "Kochi", "682001", "Rose Street 5"),
    Someone("Léa Martin", "fr", "Lyon", "69001", "Rue Burdeau 17"),
    Someone("Oskar Nowak", "pl", "Kraków", "31-008", "ul. Szewska 9"),
    Someone("Grace O'Neill", "en", "Cork", "T12 W8KP", "Paul Street 2"),
    Someone("Yuki Tanaka", "ja", "Kyoto", "604-8005", "Sanjo-dori 20"),
    Someone("Sofie Lindqvist", "sv", "Uppsala", "753 20", "Svartbäcksgatan 6"),
    Someone("Karim Haddad", "fr", "Marseille", "13002", "Rue du Panier 41"),
    Someone("Beatriz Souza", "pt", "Porto", "4050-014", "Rua das Flores 77"),
    Someone("Hannah Fischer", "de", "Freiburg", "79098", "Gerberau 15"),
    Someone("Wei Zhang", "zh-hans", "Chengdu", "610016", "Kuanzhai Xiangzi 3"),
    Someone("Elif Yılmaz", "tr", "İzmir", "35210", "Kıbrıs Şehitleri Cd. 52"),
    Someone("Marta Kowalska", "pl", "Gdańsk", "80-831", "ul. Mariacka 23"),
    Someone("Diego Fernández", "es", "Granada", "18010", "Cuesta del Chapiz 4"),
    Someone("Nora Haug", "no", "Bergen", "5003", "Øvregaten 19"),
    Someone("Samuel Osei", "en", "Leeds", "LS1 6HW", "Call Lane 30"),
    Someone("Katharina Huber", "de", "Graz", "8010", "Sporgasse 11"),
    Someone("Joon-ho Park", "ko", "Seoul", "03051", "Bukchon-ro 37"),
    Someone("Inês Carvalho", "pt", "Lisboa", "1100-148", "Rua dos Bacalhoeiros 10"),
    Someone("Milan Horváth", "hu", "Pécs", "7621", "Király utca 18"),
    Someone("Aoife Byrne", "en", "Galway", "H91 X4P5", "Quay Lane 7"),
    Someone("Lukas Steiner", "de", "Bern", "3011", "Kramgasse 55"),
    Someone("Fatima El Amrani", "fr", "Toulouse", "31000", "Rue des Arts 14"),
    Someone("Giulia Conti", "it", "Torino", "10123", "Via Po 25"),
    Someone("Pieter de Vries", "nl", "Utrecht", "3511 LX", "Oudegracht 112"),
    Someone("Ingrid Sæther", "no", "Trondheim", "7011", "Munkegata 3"),
    Someone("Arjun Mehta", "en", "Pune", "411001", "MG Road 61"),
    Someone("Eva Dvořáková", "cs", "Brno", "602 00", "Jakubská 5"),
    Someone("Rosa Delgado", "es", "Bilbao", "48005", "Calle Somera 8"),
    Someone("Ben Whitfield", "en", "Bristol", "BS1 4QA", "Narrow Quay 16"),
    Someone("Anneke Jansen", "nl", "Leiden", "2312 AV", "Breestraat 46"),
    Someone("Theo Papadakis", "el", "Chania", "731 32", "Zampeliou 27"),
    Someone("Lena Vogel", "de", "Weimar", "99423", "Schillerstraße 2"),
    Someone("Hiroshi Sato", "ja", "Sendai", "980-0811", "Ichibancho 3-7"),
    Someone("Camille Dubois", "fr", "Nantes", "44000", "Rue Crébillon 12"),
    Someone("Ruth Abrams", "en", "Edinburgh", "EH1 1TB", "Cockburn Street 21"),
)


def crowd_address(number: int) -> str:
    return f"buyer{number + 1}@{CROWD_DOMAIN}"


def someone(number: int) -> Someone:
    """The person of the crowd with that number; beyond the list names come again with an initial."""
    found = CROWD[number % len(CROWD)]
    again = number // len(CROWD)
    return found._replace(name=f"{found.name.split()[0]} {chr(64 + again)}.") if again else found


def with_login(email: str, name: str) -> User:
    """An account to sign in with, its address confirmed."""
    found = User.objects.filter(email=email).first()
    if found is None:
        found = User.objects.create_user(email, PASSWORD, name=name, show_name_in_summaries=True)
        EmailAddress.objects.create(user=found, email=email, verified=True, primary=True)
    return found


def make_crowd(count: int) -> None:
    """Accounts for the crowd; nobody can sign in with them. Only those that are missing are made."""
    there = set(User.objects.filter(email__endswith=f"@{CROWD_DOMAIN}").values_list("email", flat=True))
    for number in range(count):
        if crowd_address(number) not in there:
            who = someone(number)
            language = who.language if who.language in {"en", "de", "zh-hans"} else ""
            # two of three agree to be named when the room hears what was sold
            User.objects.create_user(
                crowd_address(number),
                name=who.name,
                language=language,
                show_name_in_summaries=number % 3 != 2,
            )
