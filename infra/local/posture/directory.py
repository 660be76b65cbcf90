"""The organization as moto has it: its accounts, the tree of its units, and who administers which service."""

from moto.organizations import models

ACTIVE = "ACTIVE"


def backend_of(account):
    """moto's organization of an account; None if it is in none."""
    owner, partition = models.organizations_backends.master_accounts.get(account, (account, "aws"))
    backend = models.organizations_backends[owner][partition]
    return backend if backend.org and any(one.id == account for one in backend.accounts) else None


def organization():
    """The only organization of a local cloud; None before it is made."""
    for owner in list(models.organizations_backends):
        backend = models.organizations_backends[owner]["aws"]
        if backend.org:
            return backend
    return None


def is_account(text):
    """Whether a text is an account id."""
    return len(text) == 12 and text.isdecimal()


def management(account):
    """The management account of an account's organization, or the account itself if it is in none."""
    backend = backend_of(account)
    return backend.org.master_account_id if backend else account


def members():
    """The active accounts of the organization, the management account included."""
    backend = organization()
    return [one.id for one in backend.accounts if one.status == ACTIVE] if backend else []


def email(account):
    """The address of an account."""
    backend = organization()
    found = backend and next((one for one in backend.accounts if one.id == account), None)
    return found.email if found else f"{account}@example.com"


def targets():
    """The root, the units and the accounts: id -> id of the parent, or None."""
    backend = organization()
    if backend is None:
        return {}
    roots = {one.id for one in backend.ou if one.id.startswith("r-")}
    units = {one.id: None if one.id in roots else one.parent_id for one in backend.ou}
    return {**units, **{one.id: one.parent_id for one in backend.accounts if one.status == ACTIVE}}


def above(target, tree=None):
    """A target and what is above it, up to the root."""
    tree = targets() if tree is None else tree
    found = []
    while target is not None and target in tree:
        found.append(target)
        target = tree[target]
    return found


def accounts_below(target):
    """The accounts in a unit and below it, or the account itself."""
    tree = targets()
    return [one for one in members() if target in above(one, tree)]


def administrators(principal):
    """The delegated administrators of a service."""
    backend = organization()
    return [one.account.id for one in backend.admins if principal in one.services] if backend else []


def trusts(principal):
    """Whether a service has trusted access."""
    backend = organization()
    return bool(backend) and any(one["ServicePrincipal"] == principal for one in backend.services)
