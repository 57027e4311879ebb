# in ~/.bashrc
eval "$(trindi completion bash)"
