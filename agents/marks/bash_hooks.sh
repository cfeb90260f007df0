# Fernwart's marks for bash 4.4 and later. Read once, from a pipe; the agent puts a line in front that sets _fw_nonce.
#
# A mark is  ESC ] 633;fw1;NONCE;kind;fields BEL  on the terminal:
#   A;sequence;directory                                                        about to prompt
#   C;sequence;clock;directory;length;line;status of the line before            a line starts
#   D;sequence;status;clock;directory                                           a line has ended
# PS1, HISTFILE, the traps DEBUG, ERR and EXIT, and the prompt's own `$?` stay as the user has them.
# Comment lines are removed before the shell sees this; a comment must stand on a line of its own.

# Print one mark. To the terminal itself: standard output may have been sent to a file.
__fw_print() { builtin printf '\e]633;fw1;%s;%s\a' "$_fw_nonce" "$1" >/dev/tty; } 2>/dev/null

# REPLY becomes $1 with `%`, `;` and control characters written as %xx.
__fw_encode() {
  local text=$1 number character code
  text=${text//'%'/%25}
  text=${text//';'/%3b}
  if [[ $text == *[$'\001'-$'\037'$'\177']* || $text == *[[:cntrl:]]* ]]; then
    for number in {1..31} 127; do
      builtin printf -v character '\\%03o' "$number"
      builtin printf -v character "$character"
      builtin printf -v code '%%%02x' "$number"
      text=${text//"$character"/$code}
    done
  fi
  REPLY=$text
}

# _fw_entry and _fw_line become number and text of the newest history entry. False if that is not the line that was just
# read (history is off, or the line was not kept): the line before must never be taken for this one.
__fw_newest_line() {
  local newest HISTTIMEFORMAT= IFS=
  newest=$(builtin history 1 2>/dev/null)
  newest=${newest#"${newest%%[! ]*}"}
  _fw_entry=${newest%%[!0-9]*}
  newest=${newest#"$_fw_entry"}
  _fw_line=${newest:2}
  [[ -o history && $_fw_entry && $_fw_entry -ge ${_fw_next_entry:-0} ]]
}

# A line starts. Runs in the sub-shell of PS0: the line is in the history, nothing of it has run.
__fw_start() {
  { local _fw_status=$?; set +eauxvET; LC_ALL=C; } 2>/dev/null
  local REPLY directory _fw_entry _fw_line
  __fw_newest_line || _fw_line=$'\1?'
  __fw_encode "$PWD"
  directory=$REPLY
  __fw_encode "${_fw_line:0:65536}"
  __fw_print "C;$_fw_sequence;${EPOCHREALTIME-};$directory;${#_fw_line};$REPLY;$_fw_status"
}

# The line that ran has ended with status $1.
__fw_finish() {
  local REPLY
  _fw_running= _fw_rules_held=
  [[ ${_fw_histcontrol-}${_fw_histignore-} ]] && __fw_apply_history_rules
  __fw_encode "$PWD"
  __fw_print "D;$_fw_sequence;$1;${EPOCHREALTIME-};$REPLY"
}

# Let bash decide after the fact whether the line stays in the history, by the user's HISTCONTROL and HISTIGNORE.
__fw_apply_history_rules() {
  local _fw_entry _fw_line
  __fw_newest_line || return 0
  builtin history -d "$_fw_entry" 2>/dev/null && builtin history -s -- "$_fw_line"
}

# First in PROMPT_COMMAND: the user's own `history -a` then sees a history that follows the user's rules.
__fw_end() {
  { local _fw_status=$? -; set +eauxvET; } 2>/dev/null
  [[ ${_fw_running-} ]] && __fw_finish "$_fw_status"
  return 0
}

# Last in PROMPT_COMMAND. Holds back HISTCONTROL and HISTIGNORE while the next line is read, so that every line gets an
# entry whose text can be reported; PS0 gives them back before the line runs.
__fw_begin() {
  { local _fw_status=$? -; set +eauxvET; } 2>/dev/null
  local REPLY prompt='\!'
  if [[ ${_fw_running-} ]]; then
    # The first element of PROMPT_COMMAND was overwritten by somebody.
    __fw_finish "$_fw_status"
    __fw_hook
  fi
  if [[ ! ${_fw_rules_held-} ]]; then
    _fw_histcontrol=${HISTCONTROL-} _fw_histignore=${HISTIGNORE-} _fw_rules_held=1
  fi
  # A readonly one stays: then a line that it keeps out of the history is reported without its text.
  [[ ${HISTCONTROL@a} == *r* ]] || HISTCONTROL=
  [[ ${HISTIGNORE@a} == *r* ]] || HISTIGNORE=
  [[ ${PS0-} == "$_fw_ps0"* ]] || PS0=$_fw_ps0${PS0-}
  # The number the next entry will have; no sub-shell needed.
  _fw_next_entry=${prompt@P}
  __fw_encode "$PWD"
  __fw_print "A;$_fw_sequence;$REPLY"
  return 0
}

# Put the hooks in their places, after the user's files were read. PS0 comes first: with a readonly PROMPT_COMMAND the lines
# are still reported, each status then comes with the next line.
#
# What stands in front of the user's PS0 (_fw_ps0) gives HISTCONTROL and HISTIGNORE back and brings a lost PROMPT_COMMAND
# back, then counts, then reports the line. The subscript of an empty associative array is the one place where `:=` runs in
# the shell itself and prints nothing. A readonly variable is left out: assigning to it would end the expansion.
__fw_hook() {
  local -; set +eauxvET
  if [[ ! $_fw_ps0 ]]; then
    [[ ${HISTCONTROL@a} == *r* ]] || _fw_ps0+='${_fw_nothing[k${HISTCONTROL:=$_fw_histcontrol}]-}'
    [[ ${HISTIGNORE@a} == *r* ]] || _fw_ps0+='${_fw_nothing[k${HISTIGNORE:=$_fw_histignore}]-}'
    [[ ${PROMPT_COMMAND@a} == *r* ]] || _fw_ps0+='${_fw_nothing[k${PROMPT_COMMAND:=__fw_end;__fw_begin}]-}'
    _fw_ps0+='${_fw_none[_fw_running=1,++_fw_sequence,0]-}$(__fw_start)'
  fi
  [[ ${PS0-} == "$_fw_ps0"* ]] || PS0=$_fw_ps0${PS0-}
  [[ ${PROMPT_COMMAND@a} != *r* ]] || return 0
  if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)); then
    local command
    local -a kept=()
    for command in "${PROMPT_COMMAND[@]}"; do
      [[ $command == __fw_* || -z $command ]] || kept+=("$command")
    done
    PROMPT_COMMAND=(__fw_end "${kept[@]}" __fw_begin)
  else
    PROMPT_COMMAND="__fw_end${PROMPT_COMMAND:+$'\n'$PROMPT_COMMAND}"$'\n'__fw_begin
  fi
} 2>/dev/null

declare -A _fw_nothing=()
_fw_sequence=0 _fw_ps0= _fw_running= _fw_rules_held= _fw_next_entry= _fw_histcontrol= _fw_histignore=
