# A residual network small enough for a laptop: about 0.1 M parameters.
model = dict(
    type="SmallResNet",
    in_channels=1,
    width=32,
    num_classes=10,
    data_preprocessor=dict(type="ImgDataPreprocessor", mean=[4.9], std=[6.0]),
)
