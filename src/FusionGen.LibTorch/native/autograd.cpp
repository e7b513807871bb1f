// Gradients and gradient modes.
#include "shim.h"
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

using namespace fusiongen;

namespace {

std::vector<at::Tensor> borrow_all(const Handle* handles, int32_t count) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(count);
  for (int32_t i = 0; i < count; i++)
    tensors.push_back(borrow(handles[i]));
  return tensors;
}

}  // namespace

FG_EXPORT int32_t fg_backward(const Handle* tensors, int32_t count, const Handle* gradients, int32_t gradient_count, int32_t retain_graph, int32_t create_graph, const Handle* inputs, int32_t input_count) {
  return guarded([&] {
    torch::autograd::backward(borrow_all(tensors, count), borrow_all(gradients, gradient_count), retain_graph != 0, create_graph != 0, borrow_all(inputs, input_count));
  });
}

// `results` takes one handle per input; null where the input is unused.
FG_EXPORT int32_t fg_grad(const Handle* outputs, int32_t count, const Handle* inputs, int32_t input_count, const Handle* gradients, int32_t gradient_count, int32_t retain_graph, int32_t create_graph, int32_t allow_unused, Handle* results) {
  return guarded([&] {
    auto found = torch::autograd::grad(borrow_all(outputs, count), borrow_all(inputs, input_count), borrow_all(gradients, gradient_count), retain_graph != 0, create_graph != 0, allow_unused != 0);
    for (size_t i = 0; i < found.size(); i++)
      results[i] = own(std::move(found[i]));
  });
}

FG_EXPORT int32_t fg_requires_grad(Handle handle) { return handle->requires_grad(); }

FG_EXPORT int32_t fg_set_requires_grad(Handle handle, int32_t value) {
  return guarded([&] { borrow(handle).requires_grad_(value != 0); });
}

FG_EXPORT int32_t fg_is_leaf(Handle handle) { return borrow(handle).is_leaf(); }

FG_EXPORT int32_t fg_retain_grad(Handle handle) {
  return guarded([&] { borrow(handle).retain_grad(); });
}

FG_EXPORT int32_t fg_get_gradient(Handle handle, Handle* out) {
  return guarded([&] { *out = own(borrow(handle).grad()); });
}

FG_EXPORT int32_t fg_set_gradient(Handle handle, Handle gradient) {
  return guarded([&] { borrow(handle).mutable_grad() = borrow(gradient); });
}

FG_EXPORT int32_t fg_grad_mode() { return c10::GradMode::is_enabled(); }

FG_EXPORT void fg_set_grad_mode(int32_t enabled) { c10::GradMode::set_enabled(enabled != 0); }

FG_EXPORT int32_t fg_inference_mode() { return c10::InferenceMode::is_enabled(); }

FG_EXPORT void* fg_enter_inference_mode(int32_t enabled) { return new c10::InferenceMode(enabled != 0); }

FG_EXPORT void fg_leave_inference_mode(void* guard) { delete static_cast<c10::InferenceMode*>(guard); }
