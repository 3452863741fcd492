//! Topics of `regrow help` that are no commands.

/// Name, one line, text.
pub static TOPICS: &[(&str, &str, &str)] = &[
    (
        "exit-codes",
        "What the exit code of a command means",
        "0    done
1    failed; standard error says what was being done, with what, why not, and what to do
2    the command line was not understood; nothing was done
130  interrupted twice and ended at once: `regrow up`, `regrow agent`, `regrow catalog`, `regrow kv lock`

`regrow kv lock KEY -- COMMAND` ends with the code of the command, or 128 and the number of the signal
that ended it, and with 1 when the lock was not had or was lost.
`regrow up --until …` ends with 0 when it is so, and with 1 when it is not so after --timeout.
",
    ),
    (
        "places",
        "Where state, plugins and lists are",
        "state    --state DIR, or REGROW_STATE, else /var/lib/regrow for root,
         else $XDG_STATE_HOME/regrow, else ~/.local/state/regrow
plugins  INFRAKIT_PLUGINS_DIR, else DIR/plugins with --state DIR,
         else $INFRAKIT_HOME/plugins, else plugins in the state folder
remotes  INFRAKIT_HOSTS_FILE, else $INFRAKIT_HOME/hosts, else ~/.infrakit/hosts
playbooks INFRAKIT_PLAYBOOKS_FILE, else $INFRAKIT_HOME/playbooks.yml, else ~/.infrakit/playbooks.yml

`regrow up` puts the sockets of its plugins into the plugin directory, so that
`regrow group ls` finds them when it is given the same --state (or none at all both times).
Called by the name `infrakit`, the program follows InfraKit's rule for plugins:
INFRAKIT_PLUGINS_DIR, else $INFRAKIT_HOME/plugins, else ~/.infrakit/plugins.
",
    ),
    (
        "environment",
        "Variables that are read",
        "REGROW_STATE             state folder
REGROW_LOG               what is logged, such as info,regrow_plugin=debug
CONSUL_HTTP_ADDR         catalog that `regrow kv|session|service|event|acl` ask
CONSUL_HTTP_TOKEN        token for it
CONSUL_HTTP_TOKEN_FILE   file with the token
CONSUL_HTTP_AUTH         USER:PASSWORD of a login that it asks for
CONSUL_HTTP_SSL          true for https where the address does not say
CONSUL_CACERT            PEM file with the certificates to trust, for https
INFRAKIT_PLUGINS_DIR     plugin directory
INFRAKIT_HOME            base of lists, and of plugins
INFRAKIT_HOST            remote manager that commands go to
INFRAKIT_CLIENT_TIMEOUT  time limit of a call, such as 15s
`regrow plugin kinds` lists the variables of each kind of plugin.
",
    ),
];
