// Any ATen operator, found by its schema's name and called boxed; autograd and every backend come with the dispatcher.
#include "shim.h"
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>

using namespace fusiongen;

namespace {

// c10::optional or std::optional, by the version of libtorch.
using OptionalTensor = decltype(std::declval<const c10::IValue>().toOptional<at::Tensor>());

at::Tensor tensor_at(const Value& value, int32_t i) { return borrow(static_cast<Handle*>(value.pointer)[i]); }

c10::IValue box(const Value& value, const c10::Argument& argument) {
  switch (value.tag) {
    case Tag::None:
      return {};
    case Tag::Tensor:
      return borrow(static_cast<Handle>(value.pointer));
    case Tag::Int:
      return value.integer;
    case Tag::Double:
      return value.real;
    case Tag::Bool:
      return value.integer != 0;
    case Tag::Ints:
      return c10::IntArrayRef(static_cast<int64_t*>(value.pointer), value.length);
    case Tag::Doubles:
      return c10::ArrayRef<double>(static_cast<double*>(value.pointer), value.length);
    case Tag::Tensors: {
      c10::List<at::Tensor> list;
      list.reserve(value.length);
      for (int32_t i = 0; i < value.length; i++)
        list.push_back(tensor_at(value, i));
      return list;
    }
    case Tag::OptionalTensors: {
      c10::List<OptionalTensor> list;
      list.reserve(value.length);
      for (int32_t i = 0; i < value.length; i++) {
        auto tensor = tensor_at(value, i);
        list.push_back(tensor.defined() ? OptionalTensor(std::move(tensor)) : OptionalTensor());
      }
      return list;
    }
    case Tag::Device:
      return c10::Device(static_cast<c10::DeviceType>(value.integer & 0xff), static_cast<c10::DeviceIndex>(value.integer >> 8));
    case Tag::String:
      return std::string(static_cast<const char*>(value.pointer), value.length);
    case Tag::Generator:
      return *static_cast<at::Generator*>(value.pointer);
    case Tag::Default:
      break;
  }
  TORCH_CHECK(argument.default_value().has_value(), "argument '", argument.name(), "' is required by this version of libtorch");
  return *argument.default_value();
}

// Memory that only this tensor holds.
int32_t fresh_kibibytes(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.has_storage())
    return 0;
  const auto& storage = tensor.storage();
  return storage.use_count() == 1 ? static_cast<int32_t>(std::min<size_t>(storage.nbytes() >> 10, INT32_MAX)) : 0;
}

void unbox(c10::IValue&& value, Value& out) {
  out.length = 0;
  out.integer = 0;
  if (value.isTensor()) {
    out.tag = Tag::Tensor;
    auto tensor = std::move(value).toTensor();
    out.length = fresh_kibibytes(tensor);
    out.pointer = own(std::move(tensor));
  } else if (value.isInt()) {
    out.tag = Tag::Int;
    out.integer = value.toInt();
  } else if (value.isDouble()) {
    out.tag = Tag::Double;
    out.real = value.toDouble();
  } else if (value.isBool()) {
    out.tag = Tag::Bool;
    out.integer = value.toBool();
  } else if (value.isTensorList()) {
    auto tensors = value.toTensorVector();
    auto* handles = new Handle[tensors.size()];
    for (size_t i = 0; i < tensors.size(); i++)
      handles[i] = own(std::move(tensors[i]));
    out.tag = Tag::Tensors;
    out.length = static_cast<int32_t>(tensors.size());
    out.pointer = handles;
  } else {
    TORCH_CHECK(value.isNone(), "a result of type ", value.tagKind(), " is not supported");
    out.tag = Tag::None;
  }
}

}  // namespace

FG_EXPORT int32_t fg_find(const char* name, const char* overload, void** out) {
  return guarded([&] {
    auto found = c10::Dispatcher::singleton().findSchema({name, overload});
    TORCH_CHECK(found.has_value(), "this libtorch has no operator ", name, *overload ? "." : "", overload);
    *out = new c10::OperatorHandle(*found);  // lives as long as the process
  });
}

// Arguments beyond `count` take the schema's defaults. `results` has room for `room` values, none for whoever has no use for them; `*returned` tells how many came.
FG_EXPORT int32_t fg_call(void* op, const Value* arguments, int32_t count, Value* results, int32_t room, int32_t* returned) {
  return guarded([&] {
    at::internal::lazy_init_num_threads();
    const auto& handle = *static_cast<c10::OperatorHandle*>(op);
    const auto& schema = handle.schema().arguments();
    TORCH_CHECK(static_cast<size_t>(count) <= schema.size(), handle.operator_name(), " takes ", schema.size(), " arguments in this version of libtorch, not ", count);
    torch::jit::Stack stack;
    stack.reserve(schema.size());
    const Value missing{Tag::Default, 0, {0}};
    for (size_t i = 0; i < schema.size(); i++)
      stack.push_back(box(i < static_cast<size_t>(count) ? arguments[i] : missing, schema[i]));
    handle.callBoxed(&stack);
    if (room == 0) {  // in place: the result is the first argument
      *returned = 0;
      return;
    }
    TORCH_CHECK(stack.size() <= static_cast<size_t>(room), handle.operator_name(), " returns ", stack.size(), " values");
    for (size_t i = 0; i < stack.size(); i++)
      unbox(std::move(stack[i]), results[i]);
    *returned = static_cast<int32_t>(stack.size());
  });
}

FG_EXPORT void fg_free_handles(Handle* handles) { delete[] handles; }
