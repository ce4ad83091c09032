# The environment file is data, and read as systemd reads one: nothing in it is carried out.
read_environment() {
    [ -n "$environment_file" ] || return 0
    [ -r "$environment_file" ] || { echo "cannot read $environment_file" >&2; return 1; }
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in '' | '#'* | ';'*) continue ;; *=*) ;; *) continue ;; esac
        key=${line%%=*} rest=${line#*=}
        case $key in '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
        case $rest in
            \"*\") rest=${rest#?} rest=${rest%?} ;;
            \'*\') rest=${rest#?} && export "$key=${rest%?}" && continue ;;
            *) ;;
        esac
        value=''
        while :; do
            case $rest in *\\*) ;; *) break ;; esac
            value=$value${rest%%\\*} rest=${rest#*\\}
            case $rest in [\"\\\$\`]*) ;; *) value=$value\\ ;; esac
            letter=${rest%"${rest#?}"} rest=${rest#?}
            value=$value$letter
        done
        export "$key=$value$rest"
    done <"$environment_file"
}
