"""The command completion: what a shell reads so that Tab completes."""

import click

from entrepot.cli.options import COMMAND

_VARIABLE = "_ENTREPOT_COMPLETE"
# click's own script for bash takes `@` for the end of a word, as bash does by default: then
# `DS000B@20<Tab>` would complete `20`. This one reads the line, and gives back what is behind `@`.
_BASH = """\
_entrepot_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" response item kind value before="" incomplete=""
    local -a words
    read -ra words <<< "$line"
    local cword=$(( ${#words[@]} - 1 ))
    if [[ "$line" == *[[:space:]] ]]; then
        cword=$(( cword + 1 ))
    else
        incomplete="${words[cword]}"
    fi
    if [[ "$incomplete" == *@* && "$COMP_WORDBREAKS" == *@* ]]; then
        before="${incomplete%@*}@"
    fi
    response=$(COMP_WORDS="$line" COMP_CWORD=$cword \\
        _ENTREPOT_COMPLETE=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    while IFS= read -r item; do
        kind="${item%%,*}" value="${item#*,}"
        case "$kind" in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain) COMPREPLY+=("${value#"$before"}") ;;
        esac
    done <<< "$response"
}
complete -o nosort -F _entrepot_completion entrepot"""


@click.command(context_settings=COMMAND)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options, products and releases.

    \b
    bash   echo 'eval "$(entrepot completion bash)"' >> ~/.bashrc
    zsh    echo 'eval "$(entrepot completion zsh)"' >> ~/.zshrc
    fish   mkdir -p ~/.config/fish/completions
           entrepot completion fish > ~/.config/fish/completions/entrepot.fish

    Products and releases are asked of the hub, for three seconds at most, and kept for a minute.
    """
    from click.shell_completion import FishComplete, ZshComplete

    if shell == "bash":
        click.echo(_BASH)
        return
    kind = ZshComplete if shell == "zsh" else FishComplete
    click.echo(kind(ctx.find_root().command, {}, "entrepot", _VARIABLE).source())
