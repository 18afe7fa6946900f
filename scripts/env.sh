# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: the root folder, and a node that is new enough first in PATH.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case $(uname -m) in
    x86_64) node_arch=x64 ;;
    aarch64) node_arch=arm64 ;;
    *) node_arch=$(uname -m) ;;
esac
private_node=$root/build/node/node_modules/node-linux-$node_arch/bin

# True when there is a node in PATH and it is version 20 or newer.
node_is_new() {
    local version
    version=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || return 1
    [ "$version" -ge 20 ]
}

if ! node_is_new && [ -x "$private_node/node" ]; then
    PATH=$private_node:$PATH
fi
export PATH
