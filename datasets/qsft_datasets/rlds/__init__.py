"""RLDS (TensorFlow Datasets): TFRecord and array_record, read and written without TensorFlow."""
