for run in 1 2 3 4 5 6 7 8; do /usr/bin/time -f "%U %S" trindi get >/dev/null; done
