"""Trusted access and delegated administrators of Organizations, as AWS accepts and refuses them."""

from moto.organizations import models
from moto.organizations.exceptions import AccountNotRegisteredException, ConstraintViolationException, InvalidInputException

# Services that can have a delegated administrator, and how many of them.
PRINCIPALS = (
    "access-analyzer.amazonaws.com", "account.amazonaws.com", "config-multiaccountsetup.amazonaws.com", "config.amazonaws.com",
    "detective.amazonaws.com", "devops-guru.amazonaws.com", "guardduty.amazonaws.com", "inspector2.amazonaws.com",
    "ipam.amazonaws.com", "macie.amazonaws.com", "securityhub.amazonaws.com",
)
ONE_ADMINISTRATOR = (
    "detective.amazonaws.com", "devops-guru.amazonaws.com", "guardduty.amazonaws.com", "inspector2.amazonaws.com",
    "ipam.amazonaws.com", "macie.amazonaws.com", "securityhub.amazonaws.com",
)
MANAGEMENT = "CANNOT_REGISTER_MASTER_AS_DELEGATED_ADMINISTRATOR"
NO_ACCESS = "SERVICE_ACCESS_NOT_ENABLED"
TOO_MANY = "MAX_DELEGATED_ADMINISTRATORS_FOR_SERVICE_LIMIT_EXCEEDED"


def know_principals():
    """AWS lets accounts administer every service of PRINCIPALS, after the service has got trusted access, and most by one account
    only. It refuses the management account.

    moto knows four of the services, and asks for no trusted access. The patch adds them, and AWS's refusals with their reasons.
    """
    for known in (models.FakeServiceAccess.TRUSTED_SERVICES, models.FakeDelegatedAdministrator.SUPPORTED_SERVICES):
        known.extend(one for one in PRINCIPALS if one not in known)
    backend = models.OrganizationsBackend
    register, deregister = backend.register_delegated_administrator, backend.deregister_delegated_administrator

    def register_or_refuse(self, **given):
        account, service = given["AccountId"], given["ServicePrincipal"]
        if account == self.account_id:
            raise violation("You cannot register master account/yourself as delegated administrator for your organization.", MANAGEMENT)
        if not models.FakeDelegatedAdministrator.supported_service(service):
            raise InvalidInputException("You specified an unrecognized service principal.")
        if not any(one["ServicePrincipal"] == service for one in self.services):
            raise violation(
                "You attempted to register a delegated administrator before you enabled service access. Call the"
                " EnableAWSServiceAccess API first.", NO_ACCESS)
        others = [one for one in self.admins if service in one.services and one.account.id != account]
        if others and service in ONE_ADMINISTRATOR:
            raise violation("You have already registered the maximum number of delegated administrators for this service.", TOO_MANY)
        register(self, **given)

    def deregister_or_refuse(self, **given):
        account, service = given["AccountId"], given["ServicePrincipal"]
        found = next((one for one in self.admins if one.account.id == account), None)
        if found is not None and models.FakeDelegatedAdministrator.supported_service(service) and service not in found.services:
            raise AccountNotRegisteredException
        deregister(self, **given)

    backend.register_delegated_administrator = register_or_refuse
    backend.deregister_delegated_administrator = deregister_or_refuse


def violation(message, reason):
    """AWS's error about a constraint; its reason is in the text, as moto's errors have no member for it."""
    return ConstraintViolationException(f"{message} ({reason})")


def delegate(backend, account, principal):
    """What a service does itself when it gets an administrator: trusted access, and the registration in Organizations."""
    backend.enable_aws_service_access(ServicePrincipal=principal)
    if account != backend.account_id and account not in [one.account.id for one in backend.admins if principal in one.services]:
        backend.register_delegated_administrator(AccountId=account, ServicePrincipal=principal)


def end_delegation(backend, account, principal):
    """The end of the registration in Organizations."""
    if any(one.account.id == account and principal in one.services for one in backend.admins):
        backend.deregister_delegated_administrator(AccountId=account, ServicePrincipal=principal)
