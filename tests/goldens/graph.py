"""TensorFlow's graph mode (compat.v1), silent and on one thread: what every script that runs it shares."""

import os

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TF_ENABLE_ONEDNN_OPTS": "0"}
import warnings

warnings.filterwarnings("ignore")
import tensorflow as tf

tf.get_logger().setLevel("ERROR")
v1 = tf.compat.v1
v1.disable_v2_behavior()
SOURCE = {"framework": "tensorflow", "version": tf.__version__}
STORED = "float64, stored as float32"


def session():
    return v1.Session(config=v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1))
