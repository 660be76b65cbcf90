"""CloudFormation's stack sets, which MiniStack lacks: which accounts and Regions have a stack of a set.

The sets are records: `cloud.py` deploys the stacks themselves. `ministack_patches.py` lists the patch and explains its
form.
"""

import json
from dataclasses import dataclass, field

from ministack.core.responses import get_account_id
from ministack.services.cloudformation import handlers

import passed_on

ROOT = "r-"
PRINCIPAL = "member.org.stacksets.cloudformation.amazonaws.com"
LARGEST_TEMPLATE = 51_200


@dataclass
class StackSet:
    """A set with service-managed permissions: its targets, and who has a stack."""

    name: str
    auto_deployment: bool
    units: set = field(default_factory=set)
    regions: list = field(default_factory=list)
    # Accounts that had a stack when the instances were created; with automatic deployment those that joined, too.
    deployed: set = field(default_factory=set)
    # Accounts whose stack somebody has deleted.
    deleted: set = field(default_factory=set)


def know_stack_sets(settings):
    """AWS deploys a stack set with service-managed permissions to organizational units: to every active account in them
    but the management account; with automatic deployment to those that join later, too.

    MiniStack does not know the operations. The patch keeps the sets of the management account, and asks moto for the
    accounts.
    """
    sets = {}
    moto = Organization(settings)

    def of_management_account(operation):
        def handler(params):
            if get_account_id() == settings.management_account:
                return operation(params)
            if value(params, "CallAs") == "DELEGATED_ADMIN":
                return refused("You must be the management account or delegated admin account of an organization before"
                               " operating a SERVICE_MANAGED stack set")
            return not_found(value(params, "StackSetName"))

        return handler

    def of_set(operation):
        def handler(params):
            found = sets.get(value(params, "StackSetName"))
            return operation(found, params) if found else not_found(value(params, "StackSetName"))

        return of_management_account(handler)

    def create(params):
        name, body = value(params, "StackSetName"), value(params, "TemplateBody")
        if name in sets:
            return handlers._error("NameAlreadyExistsException", f"StackSet {name} already exists", 409)
        if value(params, "PermissionModel") != "SERVICE_MANAGED":
            return refused("The local cloud has stack sets with service-managed permissions only")
        if PRINCIPAL not in moto.trusted_services():
            return refused("You must enable organizations access to operate a service managed stack set")
        if not body or len(body.encode()) > LARGEST_TEMPLATE:
            return refused(f"TemplateBody must have 1 to {LARGEST_TEMPLATE} bytes")
        if "\nTransform:" in body:
            return refused("Stack sets with service-managed permissions support no transforms")
        sets[name] = StackSet(name, value(params, "AutoDeployment.Enabled") == "true")
        return answer("CreateStackSet", f"<StackSetId>{name}:1</StackSetId>")

    def describe(found, _params):
        auto = "true" if found.auto_deployment else "false"
        return answer("DescribeStackSet", (
            f"<StackSet><StackSetName>{found.name}</StackSetName><StackSetId>{found.name}:1</StackSetId><Status>ACTIVE</Status>"
            f"<PermissionModel>SERVICE_MANAGED</PermissionModel><AutoDeployment><Enabled>{auto}</Enabled></AutoDeployment>"
            f"</StackSet>"))

    def delete(found, _params):
        if accounts(found):
            return handlers._error("StackSetNotEmptyException", "StackSet is not empty", 409)
        del sets[found.name]
        return answer("DeleteStackSet", "")

    def accounts(found):
        current = found.deployed | (moto.accounts_below(found.units) if found.auto_deployment else set())
        return sorted((current & moto.active()) - found.deleted)

    def targets(params):
        units = values(params, "DeploymentTargets.OrganizationalUnitIds")
        only = set(values(params, "DeploymentTargets.Accounts"))
        below = moto.accounts_below(units)
        return units, below & only if value(params, "DeploymentTargets.AccountFilterType") == "INTERSECTION" else below

    def create_instances(found, params):
        units, meant = targets(params)
        if not units:
            return refused("OrganizationalUnitIds are required")
        found.units.update(units)
        found.regions += [one for one in values(params, "Regions") if one not in found.regions]
        found.deployed |= meant
        found.deleted -= meant
        return answer("CreateStackInstances", "<OperationId>1</OperationId>")

    def delete_instances(found, params):
        found.deleted |= targets(params)[1]
        return answer("DeleteStackInstances", "<OperationId>1</OperationId>")

    def list_instances(found, params):
        every = [(account, region) for account in accounts(found) for region in found.regions]
        listed, token, error = handlers._page(every, params, "ListStackInstances")
        if error:
            return error
        members = "".join(
            f"<member><StackSetId>{found.name}:1</StackSetId><Account>{account}</Account><Region>{region}</Region>"
            f"<Status>CURRENT</Status></member>" for account, region in listed)
        return answer("ListStackInstances", f"<Summaries>{members}</Summaries>{token}")

    def activate(_params):
        moto.call("EnableAWSServiceAccess", ServicePrincipal=PRINCIPAL)
        return answer("ActivateOrganizationsAccess", "")

    handlers._ACTION_HANDLERS.update({
        "ActivateOrganizationsAccess": of_management_account(activate),
        "CreateStackSet": of_management_account(create),
        "DescribeStackSet": of_set(describe),
        "DeleteStackSet": of_set(delete),
        "CreateStackInstances": of_set(create_instances),
        "DeleteStackInstances": of_set(delete_instances),
        "ListStackInstances": of_set(list_instances),
    })


class Organization:
    """The organization, as moto has it."""

    def __init__(self, settings):
        self.settings = settings

    def call(self, operation, **fields):
        """A call of the management account."""
        account = self.settings.management_account
        headers = {
            "authorization": passed_on.authorization(account, "us-east-1", "organizations"),
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"AWSOrganizationsV20161128.{operation}",
        }
        status, _, body = passed_on.send(
            self.settings.moto_url, account, "POST", "/", headers, json.dumps(fields).encode())
        if status != 200:
            raise RuntimeError(f"moto answers {status} to {operation}: {body}")
        return json.loads(body or b"{}")

    def all(self, operation, key, **fields):
        """The members of a list, of all pages."""
        while True:
            page = self.call(operation, **fields)
            yield from page[key]
            if not page.get("NextToken"):
                return
            fields["NextToken"] = page["NextToken"]

    def trusted_services(self):
        """The services with trusted access."""
        return {one["ServicePrincipal"] for one in
                self.all("ListAWSServiceAccessForOrganization", "EnabledServicePrincipals")}

    def active(self):
        """The active accounts, without the management account."""
        accounts = self.all("ListAccounts", "Accounts")
        return {one["Id"] for one in accounts if one["Status"] == "ACTIVE"} - {self.settings.management_account}

    def accounts_below(self, units):
        """The active accounts in these units, at any depth."""
        if any(unit.startswith(ROOT) for unit in units):
            return self.active()
        found, open_units = set(), list(units)
        while open_units:
            parent = open_units.pop()
            found |= {one["Id"] for one in self.all("ListAccountsForParent", "Accounts", ParentId=parent)}
            open_units += [one["Id"] for one in
                           self.all("ListOrganizationalUnitsForParent", "OrganizationalUnits", ParentId=parent)]
        return found & self.active()


def value(params, name):
    """A field of the request; empty without it."""
    return handlers._p(params, name)


def values(params, name):
    """A list of the request."""
    found = []
    while one := value(params, f"{name}.member.{len(found) + 1}"):
        found.append(one)
    return found


def answer(operation, inner):
    """The answer to an operation."""
    return handlers._xml(200, f"{operation}Response", f"<{operation}Result>{inner}</{operation}Result>")


def refused(message):
    """A request that CloudFormation refuses."""
    return handlers._error("ValidationError", message)


def not_found(name):
    """A set that does not exist."""
    return handlers._error("StackSetNotFoundException", f"StackSet {name} not found", 404)
