// Handles and raw access to what they point at.
#include "shim.h"
#include <c10/util/Exception.h>
#include <cstring>

namespace fusiongen {

std::atomic<int64_t> live_handles{0};

std::string& last_error() {
  thread_local std::string message;
  return message;
}

void remember_current_exception() {
  try {
    throw;
  } catch (const c10::Error& e) {
    last_error() = e.what_without_backtrace();
  } catch (const std::exception& e) {
    last_error() = e.what();
  } catch (...) {
    last_error() = "unknown native exception";
  }
}

}  // namespace fusiongen

using namespace fusiongen;

FG_EXPORT const char* fg_error() { return last_error().c_str(); }

FG_EXPORT int64_t fg_live_handles() { return live_handles.load(std::memory_order_relaxed); }

FG_EXPORT void fg_release(Handle handle) {
  live_handles.fetch_sub(1, std::memory_order_relaxed);
  c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim(handle);
}

// Of a second managed object for the same tensor.
FG_EXPORT Handle fg_share(Handle handle) { return own(borrow(handle)); }

FG_EXPORT int64_t fg_dim(Handle handle) { return handle->dim(); }

FG_EXPORT int64_t fg_numel(Handle handle) { return handle->numel(); }

FG_EXPORT int32_t fg_sizes(Handle handle, int64_t* out) {
  return guarded([&] {
    const auto sizes = handle->sizes();
    std::memcpy(out, sizes.data(), sizes.size() * sizeof(int64_t));
  });
}

FG_EXPORT int32_t fg_strides(Handle handle, int64_t* out) {
  return guarded([&] {
    const auto strides = handle->strides();
    std::memcpy(out, strides.data(), strides.size() * sizeof(int64_t));
  });
}

FG_EXPORT int64_t fg_storage_offset(Handle handle) { return handle->storage_offset(); }

FG_EXPORT int32_t fg_dtype(Handle handle) { return static_cast<int32_t>(c10::typeMetaToScalarType(handle->dtype())); }

FG_EXPORT void fg_device(Handle handle, int32_t* type, int32_t* index) {
  const auto device = handle->device();
  *type = static_cast<int32_t>(device.type());
  *index = device.index();
}

FG_EXPORT int32_t fg_is_contiguous(Handle handle) { return handle->is_contiguous(); }

FG_EXPORT int32_t fg_data(Handle handle, void** out) {
  return guarded([&] { *out = borrow(handle).data_ptr(); });
}
