"""Reads a call by botocore's model of its service, finds what answers it, and writes the answer by the same model.

Each member of an answer has to be in the model, and each error has to be one that the model has for the operation: what no SDK
would understand fails in the local cloud, too.
"""

import base64
import datetime
import json
import re
import socket
import threading
import traceback
from functools import cache
from urllib.parse import parse_qs, unquote

import botocore.session
from moto.moto_server import werkzeug_app

import moto_settings
from posture import directory, settings

SCOPE = re.compile(r"Credential=([^/,]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")
LABEL = re.compile(r"\{(\w+)\+?\}")
# Names of the credential scope -> botocore's names of the API.
MODELS = {"access-analyzer": "accessanalyzer"}
# What a service may answer to any call, though its model does not say so.
ALWAYS = {"AccessDeniedException": 403, "NotImplemented": 501, "ThrottlingException": 429, "TooManyRequestsException": 429}
CONTROL_PATH = "/_orgkeeper/posture"
DEFAULT_PAGE = 50
TRAIL = ("x-orgkeeper-trail", "on")
XML = {"Content-Type": "text/xml"}

# By service and operation.
answers = {}
# By service: called before each call, in its account and Region.
before = {}
# Services of which moto answers nothing.
whole_services = set()
one_at_a_time = threading.RLock()


class Refused(Exception):
    """An error, as the service answers it."""

    def __init__(self, code, message, **members):
        super().__init__(message)
        self.code, self.message, self.members = code, message, members


class Call:
    """A call: whose it is, where, and its members by the names of the model."""

    def __init__(self, service, operation, account, region, given):
        self.service, self.operation, self.account, self.region, self.given = service, operation, account, region, given

    def get(self, name, otherwise=None):
        """A member, or another value if it is not given."""
        return self.given.get(name, otherwise)

    def page(self, items, member, size="MaxResults", token="NextToken"):
        """A part of a list with the token of the next one."""
        items, start = list(items), read_token(self.given.get(token))
        count = int(self.given.get(size) or DEFAULT_PAGE)
        answer = {member: items[start:start + count]}
        if start + count < len(items):
            answer[token] = base64.urlsafe_b64encode(str(start + count).encode()).decode()
        return answer


def read_token(token):
    """The place in a list that a token names."""
    return int(base64.urlsafe_b64decode(token.encode())) if token else 0


def answering(service, *operations):
    """Registers a function as the answer to operations of a service: it gets the call and returns members of the model."""

    def register(function):
        for operation in operations:
            answers[service, operation] = function
        return function

    return register


def stand_in():
    """AWS has services that moto lacks, and operations that its services lack.

    The patch answers them before moto sees the call, and answers what tests set under `/_orgkeeper/posture`.
    """
    dispatch = werkzeug_app.DomainDispatcherApplication.__call__

    def answer_or_dispatch(self, environ, start_response):
        if environ.get("PATH_INFO", "").startswith(CONTROL_PATH):
            return respond(start_response, *settings.control(environ, body_of(environ)))
        found = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if not found:
            return dispatch(self, environ, start_response)
        key, region, service = found.groups()
        account = environ.get("HTTP_X_MOTO_ACCOUNT_ID") or key
        if not settings.offered(service, region):
            # Nothing is answered.
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError(f"{service} has no host in {region}")
        refused = refused_place(account, region)
        if refused:
            return respond(start_response, *refusal_of_place(service, environ, refused))
        with one_at_a_time:
            if service in before and directory.is_account(account):
                before[service](region)
            called = matching(service, environ)
        if settings.trail["every_call"]:
            start_response = adding_header(start_response)
        if called is None:
            return dispatch(self, environ, start_response)
        operation, labels = called
        return respond(start_response, *answer(service, operation, account, region, labels, environ))

    werkzeug_app.DomainDispatcherApplication.__call__ = answer_or_dispatch


def adding_header(start_response):
    """Says in an answer that the call has an event."""

    def start(status, headers, *more):
        return start_response(status, [*headers, TRAIL], *more)

    return start


def respond(start_response, status, headers, body):
    """Sends an answer by WSGI."""
    all_headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    start_response(f"{status} {'OK' if status < 400 else 'Refused'}", list(all_headers.items()))
    return [body]


def refused_place(account, region):
    """Why all calls of an account in a Region are refused: codes of EC2, of the query protocol and of JSON, and the words; None if
    they are not."""
    if settings.regions["refuse_off"] and not moto_settings.is_on(account, region):
        return ("AuthFailure", "AWS was not able to validate the provided access credentials"), (
            "InvalidClientTokenId", "The security token included in the request is invalid."), (
            "UnrecognizedClientException", "The security token included in the request is invalid.")
    if f"{account}/{region}" in settings.regions["denied"]:
        words = f"User: arn:aws:iam::{account}:root is not authorized to perform this call with an explicit deny in a service control policy"
        return ("UnauthorizedOperation", f"You are not authorized to perform this operation. {words}"), (
            "AccessDenied", words), ("AccessDeniedException", words)
    return None


def refusal_of_place(service, environ, refused):
    """The refusal of a call in such a Region, in the protocol of the call."""
    of_ec2, of_query, of_json = refused
    if service == "ec2":
        error = f"<Error><Code>{of_ec2[0]}</Code><Message>{of_ec2[1]}</Message></Error>"
        return 403, XML, f"<Response><Errors>{error}</Errors><RequestID>local</RequestID></Response>".encode()
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        error = f"<Error><Type>Sender</Type><Code>{of_query[0]}</Code><Message>{of_query[1]}</Message></Error>"
        return 403, XML, f"<ErrorResponse>{error}<RequestId>local</RequestId></ErrorResponse>".encode()
    body = {"__type": of_json[0], "message": of_json[1]}
    return 403, {"x-amzn-ErrorType": of_json[0]}, json.dumps(body).encode()


def body_of(environ):
    """The body of a request."""
    return environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


# ---------------------------------------------------------------- requests


@cache
def model_of(service):
    """botocore's model of a service."""
    return botocore.session.get_session().get_service_model(MODELS.get(service, service))


@cache
def routes_of(service):
    """The operations of a REST service with their methods and the patterns of their paths: those without a name in them first."""
    routes, model = [], model_of(service)
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = http["requestUri"].partition("?")[0]
        strict, loose = (re.compile(LABEL.sub(rf"(?P<\1>{form})", path) + "/?") for form in ("[^/]+", ".+"))
        routes.append((len(LABEL.findall(path)), -len(path), http["method"], strict, loose, name))
    return sorted(routes, key=lambda route: route[:2])


def matching(service, environ):
    """The operation of a call that is answered here with the names in its path; None if moto answers it."""
    if service not in whole_services and all(known != service for known, _ in answers):
        return None
    path = unquote(environ.get("PATH_INFO", "/"))
    for kind in (3, 4):
        for route in routes_of(service):
            match = route[2] == environ["REQUEST_METHOD"] and route[kind].fullmatch(path)
            if match:
                here = service in whole_services or (service, route[5]) in answers
                return (route[5], match.groupdict()) if here else None
    return None


def answer(service, operation, account, region, labels, environ):
    """Status, headers and body of the answer to a call."""
    model = model_of(service).operation_model(operation)
    try:
        function = answers.get((service, operation))
        if function is None:
            raise Refused("NotImplemented", f"The local cloud has no operation {operation} of {service}.")
        given = read(model, labels, environ)
        with one_at_a_time:
            found = function(Call(service, operation, account, region, given)) or {}
        return 200, {}, written(model.output_shape, found)
    except Refused as refused:
        return refusal(model, refused)
    except Exception:
        traceback.print_exc()
        return refusal(model, Refused("InternalFailure", traceback.format_exc()))


def read(model, labels, environ):
    """The members of a call by the names of the model; refuses what the model refuses."""
    shape = model.input_shape
    if shape is None:
        return {}
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    body = body_of(environ)
    try:
        sent = json.loads(body) if body.strip() else {}
    except ValueError:
        raise Refused(invalid_code(model), "The body is no JSON.") from None
    given = {}
    for name, member in shape.members.items():
        at, where = member.serialization.get("name", name), member.serialization.get("location")
        if where == "uri":
            given[name] = labels.get(at)
        elif where == "querystring" and at in query:
            given[name] = from_text(member, query[at])
        elif where is None and sent.get(at) is not None:
            given[name] = from_json(member, sent[at])
        if name in given:
            check(model, name, member, given[name])
        elif name in shape.required_members:
            raise Refused(invalid_code(model), f"{name} is required")
    return given


def from_text(shape, values):
    """The value of a parameter of the query."""
    if shape.type_name == "list":
        return values
    if shape.type_name in ("integer", "long"):
        return int(values[0])
    return values[0] == "true" if shape.type_name == "boolean" else values[0]


def from_json(shape, value):
    """A value with the names of the model in place of those of the wire."""
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
        return {names[at][0]: from_json(names[at][1], one) for at, one in value.items() if at in names and one is not None}
    if shape.type_name == "list" and isinstance(value, list):
        return [from_json(shape.member, one) for one in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: from_json(shape.value, one) for key, one in value.items()}
    return value


def check(model, name, shape, value):
    """Refuses a value beyond the limits of the model."""
    limits = shape.metadata
    size = value if isinstance(value, int) and not isinstance(value, bool) else len(value) if isinstance(value, (list, str)) else None
    wrong = size is not None and not limits.get("min", size) <= size <= limits.get("max", size)
    if wrong or (limits.get("enum") and value not in limits["enum"]):
        shown = value if isinstance(value, (int, str)) else f"{size} items"
        raise Refused(invalid_code(model), f"1 validation error detected: Value '{shown}' at '{name}' failed to satisfy constraint")
    if shape.type_name == "list":
        for one in value:
            check(model, name, shape.member, one)
    elif shape.type_name == "structure" and isinstance(value, dict):
        missing = [one for one in shape.required_members if one not in value]
        if missing:
            raise Refused(invalid_code(model), f"{name}.{missing[0]} is required")
        for member, one in value.items():
            check(model, f"{name}.{member}", shape.members[member], one)


def invalid_code(model):
    """The error that an operation has for wrong input."""
    known = [shape.name for shape in model.error_shapes]
    return next((name for name in ("ValidationException", "InvalidInputException", "BadRequestException") if name in known),
                "ValidationException")


# ---------------------------------------------------------------- answers


def written(shape, value):
    """The body of an answer; a member that the model does not have is a mistake of the local cloud."""
    return b"" if shape is None else json.dumps(to_json(shape, value)).encode()


def to_json(shape, value):
    """A value as the wire has it."""
    kind = shape.type_name
    if kind == "structure":
        unknown = set(value) - set(shape.members)
        lacking = [name for name in shape.required_members if value.get(name) is None]
        if unknown or lacking:
            raise ValueError(f"{shape.name}: unknown {sorted(unknown)}, lacking {lacking}")
        return {shape.members[name].serialization.get("name", name): to_json(shape.members[name], one)
                for name, one in value.items() if one is not None}
    if kind == "list":
        return [to_json(shape.member, one) for one in value]
    if kind == "map":
        return {key: to_json(shape.value, one) for key, one in value.items()}
    if kind == "timestamp":
        moment = datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
        iso = shape.serialization.get("timestampFormat") == "iso8601"
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if iso else value
    if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        raise ValueError(f"{shape.name}: {value} is none of its values")
    return value


def refusal(model, refused):
    """The answer of an error; one that the model does not have for the operation is a mistake of the local cloud."""
    shape = next((one for one in model.error_shapes if one.name == refused.code), None)
    if shape is None and refused.code not in ALWAYS and refused.code != "InternalFailure":
        known = [one.name for one in model.error_shapes]
        return refusal(model, Refused("InternalFailure", f"{model.name} has no error {refused.code}: {known}"))
    status = ALWAYS.get(refused.code, 500 if refused.code == "InternalFailure" else 400)
    body = {"__type": refused.code, "message": refused.message}
    if shape is not None:
        status = shape.metadata.get("error", {}).get("httpStatusCode", status)
        names = {name.lower(): member.serialization.get("name", name) for name, member in shape.members.items()}
        body = {"__type": refused.code, names.get("message", "message"): refused.message}
        if "code" in names:
            body[names["code"]] = refused.code
        body.update({names[name.lower()]: value for name, value in refused.members.items() if name.lower() in names})
    return status, {"x-amzn-ErrorType": refused.code}, json.dumps(body).encode()
