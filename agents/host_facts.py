"""What this agent says about its machine in every proof. The longer list of facts is in inventory.py."""

from importlib import metadata

from agents.errors import PolicyRefusal
from agents.hosts.boot import read_boot_id
from agents.inventory import clean_line, host_name
from agents.policy import POLICY_FILE, read_policy
from agents.protection import is_protected, may_become_root, own_user_name
from agents.protocol.messages import ConsentPlace, HostClass, HostFacts
from agents.state_folder import StateFolder


def collect_host_facts(folder: StateFolder, host_class: HostClass) -> HostFacts:
    """Gather the facts. May block (accounts). A policy that cannot be read counts as the stricter one."""
    try:
        consent = read_policy(folder).consent
    except PolicyRefusal:
        consent = ConsentPlace.HERE
    user = own_user_name()
    return HostFacts(
        host_name=host_name(),
        host_class=host_class,
        consent=consent,
        protected=is_protected(folder.path, folder.path / POLICY_FILE),
        run_as=user,
        may_become_root=may_become_root(user),
        boot_id=read_boot_id(),
        agent_version=agent_version(),
    )


def agent_version() -> str:
    """Version of the installed distribution."""
    try:
        return clean_line(metadata.version("fernwart"))
    except metadata.PackageNotFoundError:
        return "unknown"
