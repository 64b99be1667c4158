/*
 * unrolled: trains and runs recurrent networks (RNN, LSTM, GRU) on the CPU.
 *
 * Arrays are row-major floats. T is the number of steps, B of batch rows, E the input width, O the
 * output width. A window is [T, B, ...]: all rows of a step, then the next step.
 *
 * Errors. A function that returns int returns UNROLLED_OK (0) or another unrolled_status;
 * unrolled_last_error then returns a text that says what was found and what was expected. After an
 * error, handles and outputs are as before, unless the comment of the function says otherwise. A
 * function that returns a size or a pointer returns 0 or NULL after an error. No function exits or
 * lets a Rust panic out.
 *
 * Pointers. NULL is an error unless the comment of the function allows it. Any other pointer to
 * values must be valid for the number of values that the comment gives; a pointer that is not
 * aligned is an error. A handle comes from a function of this library and is freed once. A freed
 * handle, or one of another type, is usually recognized and is then an error, but do not rely on it.
 *
 * Threads. Any number of threads may use one unrolled_model at the same time. An unrolled_stream or
 * unrolled_rnn belongs to one thread at a time: a call that finds it in use by another thread
 * returns UNROLLED_BUSY. After a fork, the child may use all handles; work that was divided among
 * threads then runs on the calling thread, with the same results.
 *
 * States. The floats of a state are those of layer 0, then of layer 1, and so on. A layer has h
 * [B, P] and then, if it is an LSTM, c [B, H]. H is its number of hidden units, P the width of its
 * outputs: H, or the width of its projection. A bidirectional layer counts as two layers, the
 * forward direction first, as in h_n of PyTorch. P is then the width of one direction.
 */

#ifndef UNROLLED_H
#define UNROLLED_H

/* Made by cbindgen from bindings/c/src. */

#include <stddef.h>
#include <stdint.h>

// The version of the interface in this header. It changes if a program must be compiled again.
#define UNROLLED_ABI_VERSION 1

// The status that a function returns. unrolled_last_error has the text of an error.
typedef enum {
    // Success.
    UNROLLED_OK = 0,
    // A pointer is NULL.
    UNROLLED_NULL = 1,
    // A pointer is not aligned, is not a handle, or is a freed handle or one of another type.
    UNROLLED_POINTER = 2,
    // Another thread is using the stream or the network.
    UNROLLED_BUSY = 3,
    // A size, length, id, state or setting does not fit.
    UNROLLED_ARGUMENT = 4,
    // A file cannot be read or written.
    UNROLLED_IO = 5,
    // The content of a file does not fit: damaged, of another format, or not a known model.
    UNROLLED_FILE = 6,
    // There is not enough memory.
    UNROLLED_MEMORY = 7,
    // A number is not finite where it must be.
    UNROLLED_NOT_FINITE = 8,
    // UNROLLED_ISA names instructions that the processor lacks, or that are unknown.
    UNROLLED_PROCESSOR = 9,
    // A bug in the library: it panicked, and printed a line to the standard error. Free the handles
    // of the call.
    UNROLLED_BUG = 10,
} unrolled_status;

// A trained model, which any number of threads may use at the same time.
typedef struct unrolled_model unrolled_model;

// A stack of layers on vectors, to be trained. It belongs to one thread at a time.
typedef struct unrolled_rnn unrolled_rnn;

// A model that runs one step at a time and keeps its state. It belongs to one thread at a time.
typedef struct unrolled_stream unrolled_stream;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns UNROLLED_ABI_VERSION of the library that was linked. A program that loads the library
// at run time compares the two.
uint32_t unrolled_abi_version(void);

// Returns the text of the last call that failed on this thread: one line of UTF-8, "" if none
// failed. It stays until the next call that fails on this thread, and calls that succeed do not
// change it. The pointer is never NULL; do not free it.
const char *unrolled_last_error(void);

// Loads a model. Calls run on the calling thread.
//
// path: the file; bytes on Unix, UTF-8 elsewhere. It is a checkpoint of unrolled, a state_dict of
// PyTorch in a safetensors file, ONNX, or RTNeural's JSON; the content tells which. What is not
// understood is an error that names it; `unrolled import` has options for such files. A model that
// returns only the last step in its file returns every step here.
// out: receives the model, to be freed with unrolled_model_free. Damaged files and weights that are
// not finite are errors.
int unrolled_model_load(const char *path, unrolled_model **out);

// Loads a model as unrolled_model_load, and divides large windows of unrolled_model_forward among
// `threads` threads, 0 for one per core. Results do not depend on their number. Streams still run
// on the thread that calls them.
int unrolled_model_load_threads(const char *path, size_t threads, unrolled_model **out);

// Loads a model as unrolled_model_load_threads, whose products have operands in a number format.
//
// precision: "f32"; "bf16", which is faster on processors with AVX-512 BF16 and less exact; or
// "int8", 8-bit integers. Inputs, outputs and states are f32 in all. Streams of the model have it
// too. The other functions load quantized files in int8 and all others in f32.
int unrolled_model_load_precision(const char *path,
                                  const char *precision,
                                  size_t threads,
                                  unrolled_model **out);

// Frees a model; NULL is fine. No call may use it any more. Its streams stay valid.
void unrolled_model_free(unrolled_model *model);

// Returns E, the width of the input vectors; 1 for a model of symbols.
size_t unrolled_model_input_size(const unrolled_model *model);

// Returns O, the width of the outputs: of the head, or of the last layer if there is no head.
size_t unrolled_model_output_size(const unrolled_model *model);

// Returns the number of symbols of the vocabulary; 0 for a model of vectors.
size_t unrolled_model_symbols(const unrolled_model *model);

// Returns the number of floats of a state of `batch` rows. The top of this file has their order.
size_t unrolled_model_state_len(const unrolled_model *model, size_t batch);

// Runs a window of T = `steps` steps by B = `batch` rows.
//
// x: [T, B, E]; ids as whole floats [T, B] for a model of symbols.
// lengths: [B], the number of steps of each row, 0 to T; NULL if all rows have T steps. Inputs
// beyond the end of a row are not used, and outputs there are 0.
// state_in: the state before the first step, unrolled_model_state_len(model, batch) floats; NULL
// for zero.
// state_out: receives the state of each row after its last step; may be NULL or state_in.
// y: receives the outputs [T, B, O] (logits of a language model); must not overlap other arrays of
// the call.
//
// The results of a row do not depend on the other rows, nor on how its steps are divided into
// windows, unless a layer is bidirectional: then a window is a whole sequence. Inputs that are not
// finite are computed with as they are.
int unrolled_model_forward(const unrolled_model *model,
                           size_t steps,
                           size_t batch,
                           const float *x,
                           const size_t *lengths,
                           const float *state_in,
                           float *state_out,
                           float *y);

// Runs a window of a model of symbols, as unrolled_model_forward. ids: [T, B], each below
// unrolled_model_symbols(model).
int unrolled_model_forward_symbols(const unrolled_model *model,
                                   size_t steps,
                                   size_t batch,
                                   const uint32_t *ids,
                                   const size_t *lengths,
                                   const float *state_in,
                                   float *state_out,
                                   float *logits);

// Creates a stream of B = `batch` rows, which starts from the zero state. It shares the weights of
// the model, and stays valid after the model is freed.
//
// out: receives the stream, to be freed with unrolled_stream_free. A model with bidirectional
// layers is an error, because they read the last step first.
int unrolled_stream_new(const unrolled_model *model, size_t batch, unrolled_stream **out);

// Frees a stream; NULL is fine. If another thread is using it, it stays, and
// unrolled_last_error says so.
void unrolled_stream_free(unrolled_stream *stream);

// Runs one step of all rows, on the calling thread. It allocates nothing, takes no lock and waits
// for nobody, so it is fit for an audio thread; a call that fails allocates its text.
//
// x: [B, E]; ids as whole floats [B] for a model of symbols.
// y: receives the outputs [B, O] (logits of a language model); may be x.
int unrolled_stream_step(unrolled_stream *stream, const float *x, float *y);

// Runs one step of a model of symbols, as unrolled_stream_step.
//
// ids: [B], each below unrolled_model_symbols(model); another id is an error.
// logits: receives the outputs [B, O].
int unrolled_stream_step_symbols(unrolled_stream *stream, const uint32_t *ids, float *logits);

// Sets the state of all rows to zero. It allocates nothing.
void unrolled_stream_reset(unrolled_stream *stream);

// Sets the state of one row to zero: row 0 to B - 1.
int unrolled_stream_reset_row(unrolled_stream *stream, size_t row);

// Returns the number of floats of the state of all rows. The top of this file has their order.
size_t unrolled_stream_state_len(const unrolled_stream *stream);

// Copies the state of all rows to `state`: unrolled_stream_state_len(stream) floats.
int unrolled_stream_get_state(const unrolled_stream *stream, float *state);

// Sets the state of all rows, from unrolled_stream_state_len(stream) floats of a stream of the
// same model and number of rows. It allocates nothing.
int unrolled_stream_set_state(unrolled_stream *stream, const float *state);

// Creates a network with drawn parameters.
//
// toml: the layers as in a configuration file of unrolled, and
//   inputs = E     the width of the input vectors
//   outputs = O    a linear head of O outputs; default: no head, O is the width of the last layer
//   seed = N       of the parameters and of dropout; default 1
//   threads = N    default: one for each core; results do not depend on it
//   precision = P  number format of the operands of products: "f32" (default) or "bf16"
// out: receives the network, to be freed with unrolled_rnn_free.
//
// Example: "inputs = 3\n[[stack]]\ncell = \"lstm\"\nhidden = 16\n".
int unrolled_rnn_new(const char *toml, unrolled_rnn **out);

// Creates a network with the parameters of a file, to train it further.
//
// path: a file of unrolled_rnn_save, or another file that unrolled_model_load reads. A model of
// symbols is an error.
// seed: of dropout. Its masks start again, as in a new network.
// threads: 0 for one per core; results do not depend on it.
// out: receives the network, to be freed with unrolled_rnn_free.
int unrolled_rnn_load(const char *path, uint64_t seed, size_t threads, unrolled_rnn **out);

// Creates a network with the parameters of a file, as unrolled_rnn_load, whose products have
// operands in a number format.
//
// precision: "f32" or "bf16". Parameters, gradients, inputs, outputs and states are f32 in both.
int unrolled_rnn_load_precision(const char *path,
                                uint64_t seed,
                                const char *precision,
                                size_t threads,
                                unrolled_rnn **out);

// Frees a network; NULL is fine. If another thread is using it, it stays, and unrolled_last_error
// says so. Pointers to its parameters, gradients and names are then invalid.
void unrolled_rnn_free(unrolled_rnn *rnn);

// Returns E, the width of the input vectors.
size_t unrolled_rnn_input_size(const unrolled_rnn *rnn);

// Returns O, the width of the outputs: of the head, or of the last layer if there is no head.
size_t unrolled_rnn_output_size(const unrolled_rnn *rnn);

// Returns the number of floats of a state of `batch` rows. The top of this file has their order.
size_t unrolled_rnn_state_len(const unrolled_rnn *rnn, size_t batch);

// Turns dropout and the random part of zoneout on (1, as at the start) or off (0). The masks are a
// function of the seed and of the number of windows that went forward in training.
int unrolled_rnn_set_training(unrolled_rnn *rnn, int training);

// Runs a window of T = `steps` steps by B = `batch` rows, with the current parameters, and keeps
// what the backward pass needs.
//
// x: [T, B, E].
// lengths: [B], the number of steps of each row, 0 to T; NULL if all rows have T steps. Inputs
// beyond the end of a row are not used, and outputs there are 0.
// state_in: the state before the first step, unrolled_rnn_state_len(rnn, batch) floats; NULL for
// zero.
// y: receives the outputs [T, B, O]; must not overlap other arrays of the call.
// state_out: receives the state of each row after its last step; may be NULL or state_in.
int unrolled_rnn_forward(unrolled_rnn *rnn,
                         size_t steps,
                         size_t batch,
                         const float *x,
                         const size_t *lengths,
                         const float *state_in,
                         float *y,
                         float *state_out);

// Runs the backward pass of the last window. It replaces the gradients of the parameters (see
// unrolled_rnn_gradients). Another backward pass needs another forward pass.
//
// dy: [T, B, O], the gradient of the loss with respect to y; NULL for zero.
// dstate: the gradient with respect to state_out, in its order; NULL for zero.
// dx: receives the gradient with respect to x [T, B, E]; may be NULL.
// dstate_in: receives the gradient with respect to state_in; may be NULL.
int unrolled_rnn_backward(unrolled_rnn *rnn,
                          const float *dy,
                          const float *dstate,
                          float *dx,
                          float *dstate_in);

// Returns the number of floats of the arena, which holds all parameters. Between tensors it has
// padding, which is zero, with gradient zero.
size_t unrolled_rnn_parameters(const unrolled_rnn *rnn);

// Returns the arena, to be read and changed between calls: unrolled_rnn_parameters(rnn) floats.
// The address stays the same until unrolled_rnn_free. The next forward pass uses the new values.
float *unrolled_rnn_values(unrolled_rnn *rnn);

// Returns the gradients after the last backward pass, each at the place of its parameter; zero
// before the first. The address stays the same until unrolled_rnn_free.
const float *unrolled_rnn_gradients(const unrolled_rnn *rnn);

// Returns the number of tensors, for unrolled_rnn_parameter.
size_t unrolled_rnn_tensors(const unrolled_rnn *rnn);

// Describes tensor `i`, from 0 to unrolled_rnn_tensors(rnn) - 1. Each pointer may be NULL.
//
// name: receives the name of PyTorch, such as rnn.weight_ih_l0; valid until unrolled_rnn_free.
// offset: receives its place in the arena, in floats. Values are row-major.
// rows, columns: receive its shape; a vector has one column.
int unrolled_rnn_parameter(const unrolled_rnn *rnn,
                           size_t i,
                           const char **name,
                           size_t *offset,
                           size_t *rows,
                           size_t *columns);

// Writes a checkpoint, which unrolled_model_load and `unrolled inspect` read. It replaces the file
// in one step: on an error the old file stays as it was. Parameters that are not finite are an
// error.
int unrolled_rnn_save(const unrolled_rnn *rnn, const char *path);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* UNROLLED_H */
