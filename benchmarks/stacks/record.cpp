// Records a small libtorch model in SP with one learning rate: cpp_small.json, cpp_large.json.
//   T=$(python -c 'import torch, os; print(os.path.dirname(torch.__file__))')
//   g++ -O0 -std=c++20 -I$T/include -I$T/include/torch/csrc/api/include record.cpp -o record \
//     -L$T/lib -ltorch -ltorch_cpu -lc10 -Wl,-rpath,$T/lib && ./record
// The lines of `record` are those of docs/how-to/audit.md.
#include <torch/torch.h>

#include <fstream>
#include <string>

struct BlockImpl : torch::nn::Module {
  explicit BlockImpl(int64_t n) {
    norm1 = register_module("norm1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({n})));
    qkv = register_module("qkv", torch::nn::Linear(n, 3 * n));
    out = register_module("out", torch::nn::Linear(n, n));
    norm2 = register_module("norm2", torch::nn::LayerNorm(torch::nn::LayerNormOptions({n})));
    up = register_module("up", torch::nn::Linear(n, 4 * n));
    down = register_module("down", torch::nn::Linear(4 * n, n));
  }
  torch::nn::LayerNorm norm1{nullptr}, norm2{nullptr};
  torch::nn::Linear qkv{nullptr}, out{nullptr}, up{nullptr}, down{nullptr};
};
TORCH_MODULE(Block);

struct DecoderImpl : torch::nn::Module {
  explicit DecoderImpl(int64_t n) {
    register_module("wte", torch::nn::Embedding(128, n));
    register_module("wpe", torch::nn::Embedding(32, n));
    torch::nn::ModuleList blocks;
    for (int i = 0; i < 2; ++i) blocks->push_back(Block(n));
    register_module("blocks", blocks);
    register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({n})));
    register_module("head", torch::nn::Linear(torch::nn::LinearOptions(n, 128).bias(false)));
  }
};
TORCH_MODULE(Decoder);

void record(Decoder model, torch::optim::AdamW& optimizer, const std::string& path) {
  std::ofstream file(path);
  std::string comma = "[";
  for (auto& group : optimizer.param_groups()) {
    auto& o = static_cast<torch::optim::AdamWOptions&>(group.options());
    for (auto& named : model->named_parameters())
      for (auto& p : group.params())
        if (p.is_same(named.value())) {
          file << comma << "\n{\"name\": \"" << named.key() << "\", \"shape\": " << p.sizes()
               << ", \"lr\": " << o.lr() << ", \"wd\": " << o.weight_decay() << ", \"eps\": " << o.eps()
               << ", \"std\": " << p.std(false).item<double>() << "}";
          comma = ",";
        }
  }
  file << "\n]\n";
}

int main() {
  torch::manual_seed(0);
  for (int64_t n : {64, 256}) {
    Decoder model(n);
    std::vector<torch::Tensor> matrices, vectors;
    for (auto& p : model->parameters()) (p.dim() >= 2 ? matrices : vectors).push_back(p);
    std::vector<torch::optim::OptimizerParamGroup> groups;
    groups.emplace_back(matrices, std::make_unique<torch::optim::AdamWOptions>(torch::optim::AdamWOptions(3e-4).weight_decay(0.1)));
    groups.emplace_back(vectors, std::make_unique<torch::optim::AdamWOptions>(torch::optim::AdamWOptions(3e-4).weight_decay(0)));
    torch::optim::AdamW optimizer(groups, torch::optim::AdamWOptions(3e-4));
    record(model, optimizer, n == 64 ? "cpp_small.json" : "cpp_large.json");
  }
}
