"""The plugin's settings as a node tells them: ipamd's introspection and the CNI configuration, as variables of the aws-node DaemonSet.

Source: amazon-vpc-cni-k8s v1.23.1 pkg/networkutils/network.go GetConfigForDebug; misc/10-aws.conflist.
"""

from __future__ import annotations

from fastroute.io.ipamd import last_json

RANDOMIZE = {0: "none", 1: "hashrandom", 2: "prng"}
CONFLIST_KEYS = {"vethPrefix": "AWS_VPC_K8S_CNI_VETHPREFIX", "podSGEnforcingMode": "POD_SECURITY_GROUP_ENFORCING_MODE"}


def read_env_settings(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read `networkutils-env-settings.json` or `ipamd-env-settings.json`.

    Returns
    -------
    env, problems
        Values as the DaemonSet would give them: `true`, `128`, `10.0.0.0/8,172.16.0.0/12`; null is left out.
    """
    try:
        value = last_json(text)
    except ValueError as error:
        return {}, (str(error),)
    if not isinstance(value, dict) or "AvailableCommands" in value:
        return {}, ("no settings in it",)
    env = {}
    for name, setting in value.items():
        if name == "AWS_VPC_K8S_CNI_RANDOMIZESNAT" and isinstance(setting, int):
            env[name] = RANDOMIZE.get(setting, "")
        elif isinstance(setting, list):
            env[str(name)] = ",".join(map(str, setting))
        elif isinstance(setting, bool):
            env[str(name)] = str(setting).lower()
        elif setting is not None and not isinstance(setting, dict):
            env[str(name)] = str(setting)
    return env, ()


def read_conflist(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read `10-aws.conflist`, as far as it decides names of veths and the mode of branch pods.

    Returns
    -------
    env, problems
    """
    try:
        value = last_json(text)
    except ValueError as error:
        return {}, (str(error),)
    plugins = value.get("plugins") if isinstance(value, dict) else None
    ours = next((p for p in plugins if isinstance(p, dict) and p.get("type") == "aws-cni"), None) if isinstance(plugins, list) else None
    if ours is None:
        return {}, ("no plugin aws-cni in it",)
    return {name: str(ours[key]) for key, name in CONFLIST_KEYS.items() if ours.get(key)}, ()
