#!/usr/bin/env bash
# The benchmark with a backbone of 33 M parameters, pre-trained first on plain text, for a GPU. On an
# H200 pre-training took 74 seconds, and four data sets with seeds 17 and 18, six at a time, ten
# minutes to seven reports of eight. Killed, it goes on where it was.
#
#   docs/results/33m.sh throughput [OPTION…]
#   docs/results/33m.sh pretrain TEXT… [OPTION…]
#   docs/results/33m.sh rates bi-encoder|teacher --data DATA [OPTION…]
#   docs/results/33m.sh benchmark --data DATA [--data DATA…] [OPTION…]
#
# TEXT is plain text, or such compressed by xz; DATA a folder in BEIR layout or a workspace; OPTION
# as of `rabtriever lab measure-throughput`, `lab pretrain`, `lab ablate` and `lab benchmark`.
# Everything is written where it is called: measurements/, backbone-33m/, work-rates-33m/, work-33m/,
# results/, results.md, results-plots/.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
params=$here/params-33m.yaml
step=${1:?say throughput, pretrain, rates or benchmark}
shift
case $step in
  throughput)
    qwen3="backbone.tiny={architecture: qwen3, vocabulary_size: 4096, hidden_size: 1024, layers: 28,
      heads: 16, key_value_heads: 8, head_size: 128, intermediate_size: 3072}"
    exec rabtriever lab measure-throughput --name "the shapes of Qwen3-0.6B" --set "$qwen3" \
      --set runtime.precision=bfloat16 "$@"
    ;;
  pretrain)
    exec rabtriever lab pretrain "$@" --out backbone-33m --params "$params"
    ;;
  rates)
    plan=$here/rates-33m-${1:?say bi-encoder or teacher}.yaml
    shift
    exec rabtriever lab ablate "$plan" "$@" --params "$params" --work work-rates-33m --seeds 17 \
      --out results/ablations
    ;;
  benchmark)
    exec rabtriever lab benchmark "$@" --params "$params" --work work-33m --label 33m
    ;;
  *)
    echo "error: $step: expected throughput, pretrain, rates or benchmark" >&2
    exit 2
    ;;
esac
