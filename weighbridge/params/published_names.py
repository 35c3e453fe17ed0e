"""Names under which torchvision and Keras Applications publish classification models: known here without either library."""

TORCHVISION = """
AlexNet ConvNeXt_Base ConvNeXt_Large ConvNeXt_Small ConvNeXt_Tiny DenseNet121 DenseNet161 DenseNet169 DenseNet201
EfficientNet_B0 EfficientNet_B1 EfficientNet_B2 EfficientNet_B3 EfficientNet_B4 EfficientNet_B5 EfficientNet_B6
EfficientNet_B7 EfficientNet_V2_L EfficientNet_V2_M EfficientNet_V2_S GoogLeNet Inception_V3 MNASNet0_5 MNASNet0_75
MNASNet1_0 MNASNet1_3 MaxVit_T MobileNet_V2 MobileNet_V3_Large MobileNet_V3_Small RegNet_X_16GF RegNet_X_1_6GF
RegNet_X_32GF RegNet_X_3_2GF RegNet_X_400MF RegNet_X_800MF RegNet_X_8GF RegNet_Y_128GF RegNet_Y_16GF RegNet_Y_1_6GF
RegNet_Y_32GF RegNet_Y_3_2GF RegNet_Y_400MF RegNet_Y_800MF RegNet_Y_8GF ResNeXt101_32X8D ResNeXt101_64X4D
ResNeXt50_32X4D ResNet101 ResNet152 ResNet18 ResNet34 ResNet50 ShuffleNet_V2_X0_5 ShuffleNet_V2_X1_0
ShuffleNet_V2_X1_5 ShuffleNet_V2_X2_0 SqueezeNet1_0 SqueezeNet1_1 Swin_B Swin_S Swin_T Swin_V2_B Swin_V2_S Swin_V2_T
VGG11 VGG11_BN VGG13 VGG13_BN VGG16 VGG16_BN VGG19 VGG19_BN ViT_B_16 ViT_B_32 ViT_H_14 ViT_L_16 ViT_L_32
Wide_ResNet101_2 Wide_ResNet50_2
""".split()  # noqa: SIM905 - a paragraph of names; the builder is the same in small letters

KERAS = """
ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny ConvNeXtXLarge DenseNet121 DenseNet169 DenseNet201
EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetB5 EfficientNetB6
EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2L EfficientNetV2M
EfficientNetV2S InceptionResNetV2 InceptionV3 MobileNet MobileNetV2 MobileNetV3Large MobileNetV3Small NASNetLarge
NASNetMobile ResNet101 ResNet101V2 ResNet152 ResNet152V2 ResNet50 ResNet50V2 VGG16 VGG19 Xception
""".split()  # noqa: SIM905
