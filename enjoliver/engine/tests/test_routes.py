"""Routes are read from URL patterns, never listed by hand."""

import pytest
from django.urls import include, path, re_path

from enjoliver.common.http import MachineView
from enjoliver.engine.routes import Route, all_routes


class Some(MachineView):
    def get(self, request):
        raise NotImplementedError

    def post(self, request):
        raise NotImplementedError


view = Some.as_view()


@pytest.mark.parametrize(
    ("pattern", "rules"),
    [
        (path("", view), ["/"]),
        (path("plain", view), ["/plain"]),
        (path("plain/<str:role>", view), ["/plain/<string:role>"]),
        (re_path(r"^boot\.ipxe\.0/?$", view), ["/boot.ipxe.0"]),
        (re_path(r"^lifecycle/(?P<raw_query>.+?)/?$", view), ["/lifecycle/<string:raw_query>"]),
        (re_path(r"^a/(?P<b>x|y)/(?P<c>[^/]+)/?$", view), ["/a/<string:b>/<string:c>"]),
        (
            re_path(r"^boots(?:/(?P<uuid>[^/]+))?/?$", view),
            ["/boots", "/boots/<string:uuid>"],
        ),
        (path("api/", include([path("things/<int:pk>/", view)])), ["/api/things/<string:pk>"]),
        (path("admin/", include([path("page", view)])), []),
    ],
)
def test_a_pattern_is_listed_as_the_reference_wrote_its_rules(pattern, rules):
    assert [route.rule for route in all_routes([pattern])] == rules


def test_rules_are_sorted_and_each_is_there_once():
    patterns = [path("b", view), re_path("^a/?$", view), path("a", view)]
    assert [route.rule for route in all_routes(patterns)] == ["/a", "/b"]


def test_a_route_knows_its_methods_and_its_openapi_path():
    route = Route("/x/%(role)s", view)
    assert (route.methods, route.openapi_path, route.placeholders) == (
        ["GET", "POST"],
        "/x/{role}",
        ["role"],
    )
    assert route.path(role="etcd-member") == "/x/etcd-member"


def test_no_rule_of_the_engine_shows_a_piece_of_a_regular_expression():
    for route in all_routes():
        plain = route.rule.replace("<string:", "").replace(">", "")
        assert not set("^$?*+()[]\\|<{}") & set(plain), route.rule
        assert route.view_class is not None
        assert issubclass(route.view_class, MachineView), route.rule
        assert route.methods, route.rule
