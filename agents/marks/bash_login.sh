# Started as `ENV=/dev/fd/9 bash --posix -l`: a true login shell that has read nothing yet but this. Make it an ordinary
# login bash: leave POSIX mode, then read the profile files in bash's own order, then put the hooks in place.
exec 9<&-
set +o posix
unset ENV POSIXLY_CORRECT
shopt -u inherit_errexit
[[ ${HISTFILE-} == ~/.sh_history || -z ${HISTFILE-} ]] && HISTFILE=~/.bash_history
[[ -r /etc/profile ]] && . /etc/profile
if [[ -r ~/.bash_profile ]]; then . ~/.bash_profile; elif [[ -r ~/.bash_login ]]; then . ~/.bash_login; elif [[ -r ~/.profile ]]; then . ~/.profile; fi
shopt -s promptvars cmdhist
__fw_hook
