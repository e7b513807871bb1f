// What the managed side sees: plain C. A handle is a TensorImpl that owns one reference; every function that can fail
// returns 0 for success and leaves libtorch's message in fg_error() otherwise.
#pragma once
#include <ATen/core/Tensor.h>
#include <atomic>
#include <cstdint>
#include <string>

#define FG_EXPORT extern "C" __attribute__((visibility("default")))

namespace fusiongen {

using Handle = c10::TensorImpl*;

// Mirrors FusionGen.LibTorch's Argument: how the 8 bytes of a value are to be read.
enum class Tag : int32_t { None, Tensor, Int, Double, Bool, Ints, Doubles, Tensors, OptionalTensors, Device, String, Generator, Default };

struct Value {
  Tag tag;
  int32_t length;  // of a list or string; of a resulting tensor, KiB that it alone holds
  union {
    int64_t integer;
    double real;
    void* pointer;
  };
};
static_assert(sizeof(Value) == 16);

extern std::atomic<int64_t> live_handles;

inline at::Tensor borrow(Handle handle) {
  return handle ? at::Tensor(c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim_copy(handle)) : at::Tensor();
}

inline Handle own(at::Tensor tensor) {
  if (!tensor.defined())
    return nullptr;
  live_handles.fetch_add(1, std::memory_order_relaxed);
  return tensor.unsafeReleaseTensorImpl();
}

std::string& last_error();
void remember_current_exception();

template <typename F>
int32_t guarded(F&& body) noexcept {
  try {
    body();
    return 0;
  } catch (...) {
    remember_current_exception();
    return 1;
  }
}

}  // namespace fusiongen
