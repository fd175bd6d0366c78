"""IAM put together: what `app.py` registers."""

from __future__ import annotations

from pilotlight.clock import Clock
from pilotlight.identity.credentials import Credentials
from pilotlight.ids import Ids
from pilotlight.services.contract import Service
from pilotlight.services.iam.accounts import Account
from pilotlight.services.iam.guard import IamGuard
from pilotlight.services.iam.holders import GroupPolicies, Holders, RolePolicies, UserPolicies
from pilotlight.services.iam.policies import ManagedPolicies
from pilotlight.services.iam.principals import Principals
from pilotlight.services.iam.roles import InstanceProfiles, Roles
from pilotlight.services.iam.simulation import Simulation
from pilotlight.services.iam.users import AccessKeys, Groups, Users
from pilotlight.storage.database import Database


def iam_service(
    *, database: Database, principals: Principals, credentials: Credentials, clock: Clock, ids: Ids
) -> Service:
    holders = Holders(database=database, principals=principals)
    return Service(
        name="iam",
        nouns=(
            Users(database=database, principals=principals, clock=clock, ids=ids),
            AccessKeys(database=database, credentials=credentials, clock=clock),
            Groups(database=database, clock=clock, ids=ids),
            Roles(database=database, principals=principals, clock=clock, ids=ids),
            InstanceProfiles(database=database, clock=clock, ids=ids),
            UserPolicies(holders),
            RolePolicies(holders),
            GroupPolicies(holders),
            ManagedPolicies(database=database, principals=principals, clock=clock, ids=ids),
            Account(database=database, principals=principals),
            Simulation(database=database, principals=principals, clock=clock),
        ),
        guard=IamGuard(),
    )
