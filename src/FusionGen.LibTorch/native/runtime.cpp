// The library as a whole: version, memory, threads, devices, generators.
#include "shim.h"
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <malloc.h>
#include <torch/version.h>

using namespace fusiongen;

namespace {

int32_t cuda_devices() {
  return c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA) ? c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->deviceCount() : 0;
}

}  // namespace

// By default glibc gives every temporary beyond a few megabytes a fresh mapping whose pages fault in one by one and are returned
// at once. Keep large blocks in the heap instead, and the heap's top in the process.
FG_EXPORT void fg_keep_large_blocks() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
}

FG_EXPORT const char* fg_version() { return TORCH_VERSION; }

FG_EXPORT int32_t fg_threads() { return at::get_num_threads(); }

FG_EXPORT int32_t fg_set_threads(int32_t count) {
  return guarded([&] { at::set_num_threads(count); });
}

FG_EXPORT int32_t fg_cuda_devices() { return cuda_devices(); }

FG_EXPORT int32_t fg_cuda_synchronize(int32_t index) {
  return guarded([&] {
    TORCH_CHECK(cuda_devices() > 0, "this libtorch sees no CUDA device");
    at::detail::getCUDAHooks().deviceSynchronize(static_cast<c10::DeviceIndex>(index));
  });
}

FG_EXPORT int32_t fg_manual_seed(int64_t seed) {
  return guarded([&] { at::manual_seed(static_cast<uint64_t>(seed)); });
}

// A generator of its own, or (fresh == 0) the device's default one.
FG_EXPORT int32_t fg_generator(int32_t device_type, int32_t device_index, int32_t fresh, void** out) {
  return guarded([&] {
    const c10::Device device(static_cast<c10::DeviceType>(device_type), static_cast<c10::DeviceIndex>(device_index));
    const auto& shared = at::globalContext().defaultGenerator(device);
    *out = new at::Generator(fresh ? shared.clone() : shared);
  });
}

FG_EXPORT void fg_generator_release(void* generator) { delete static_cast<at::Generator*>(generator); }

FG_EXPORT int32_t fg_generator_set_seed(void* generator, int64_t seed) {
  return guarded([&] { static_cast<at::Generator*>(generator)->set_current_seed(static_cast<uint64_t>(seed)); });
}

FG_EXPORT int64_t fg_generator_seed(void* generator) { return static_cast<int64_t>(static_cast<at::Generator*>(generator)->current_seed()); }

FG_EXPORT int32_t fg_generator_reseed(void* generator, int64_t* out) {
  return guarded([&] { *out = static_cast<int64_t>(static_cast<at::Generator*>(generator)->seed()); });
}

FG_EXPORT int32_t fg_generator_state(void* generator, Handle* out) {
  return guarded([&] { *out = own(static_cast<at::Generator*>(generator)->get_state()); });
}

FG_EXPORT int32_t fg_generator_set_state(void* generator, Handle state) {
  return guarded([&] { static_cast<at::Generator*>(generator)->set_state(borrow(state)); });
}
