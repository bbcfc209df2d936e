#include "op.h"

#include <string>

namespace millrace {

Context::~Context() {
  for (TF_Tensor* tensor : inputs_) {
    if (tensor != nullptr) TF_DeleteTensor(tensor);
  }
  for (TF_Tensor* tensor : outputs_) TF_DeleteTensor(tensor);
  TF_DeleteStatus(status_);
}

TF_Tensor* Context::tensor(int input) {
  const auto place = static_cast<size_t>(input);
  if (place >= inputs_.size()) inputs_.resize(place + 1, nullptr);
  if (inputs_[place] == nullptr) {
    TF_GetInput(context_, input, &inputs_[place], status_);
    check();
  }
  return inputs_[place];
}

const float* Context::input(int index) { return static_cast<const float*>(TF_TensorData(tensor(index))); }

int64_t Context::dimension(int input, int axis) { return TF_Dim(tensor(input), axis); }

int Context::rank(int input) { return TF_NumDims(tensor(input)); }

int64_t Context::size(int input) { return TF_TensorElementCount(tensor(input)); }

Shape Context::shape(int input) {
  Shape shape;
  for (int axis = 0; axis < rank(input); axis++) shape.push_back(dimension(input, axis));
  return shape;
}

float* Context::output(int index, const Shape& shape) {
  size_t bytes = sizeof(float);
  for (const int64_t dimension : shape) bytes *= static_cast<size_t>(dimension);
  const int rank = static_cast<int>(shape.size());
  TF_Tensor* made = TF_AllocateOutput(context_, index, TF_FLOAT, shape.data(), rank, bytes, status_);
  check();
  outputs_.push_back(made);
  return static_cast<float*>(TF_TensorData(made));
}

float* Context::written(int input) { return static_cast<float*>(TF_TensorData(tensor(input))); }

float* Context::pass(int output, int input) {
  TF_SetOutput(context_, output, tensor(input), status_);
  check();
  return written(input);
}

void Context::refuse(const char* reason) {
  TF_SetStatus(status_, TF_INVALID_ARGUMENT, reason);
  TF_OpKernelContext_Failure(context_, status_);
  throw Failed();
}

void Context::fail_without_memory() {
  TF_SetStatus(status_, TF_RESOURCE_EXHAUSTED, "out of memory in an op of Millrace's");
  TF_OpKernelContext_Failure(context_, status_);
}

void Context::check() {
  if (TF_GetCode(status_) == TF_OK) return;
  TF_OpKernelContext_Failure(context_, status_);
  throw Failed();
}

namespace {

template <typename Value, typename Get>
Value attribute(TF_OpKernelConstruction* construction, const char* name, Get get) {
  TF_Status* status = TF_NewStatus();
  Value value{};
  get(construction, name, &value, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return value;
}

void know_nothing(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

void know_first_output(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextSetOutput(context, 0, shape, status);
  TF_DeleteShapeHandle(shape);
}

}  // namespace

float Attributes::number(const char* name) const {
  return attribute<float>(construction_, name, TF_OpKernelConstruction_GetAttrFloat);
}

int32_t Attributes::integer(const char* name) const {
  return attribute<int32_t>(construction_, name, TF_OpKernelConstruction_GetAttrInt32);
}

bool Attributes::flag(const char* name) const {
  return attribute<unsigned char>(construction_, name, TF_OpKernelConstruction_GetAttrBool) != 0;
}

const char* register_op(const Signature& signature, void* (*create)(TF_OpKernelConstruction*),
                        void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*)) {
  static std::string failure;
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* definition = TF_NewOpDefinitionBuilder(signature.name);
  for (const char* input : signature.inputs) {
    TF_OpDefinitionBuilderAddInput(definition, (std::string(input) + ": float").c_str());
  }
  for (const char* output : signature.outputs) {
    TF_OpDefinitionBuilderAddOutput(definition, (std::string(output) + ": float").c_str());
  }
  for (const char* attribute : signature.attributes) TF_OpDefinitionBuilderAddAttr(definition, attribute);
  TF_OpDefinitionBuilderSetIsStateful(definition, signature.effect == Effect::kWritesInputs);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(
      definition, signature.shapes == Shapes::kUnknown ? know_nothing : know_first_output);
  TF_RegisterOpDefinition(definition, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_RegisterKernelBuilder(signature.name, TF_NewKernelBuilder(signature.name, "CPU", create, compute, destroy), status);
  }
  const bool is_registered = TF_GetCode(status) == TF_OK;
  if (!is_registered) failure = TF_Message(status);
  TF_DeleteStatus(status);
  return is_registered ? nullptr : failure.c_str();
}

}  // namespace millrace
