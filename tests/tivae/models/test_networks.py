import pytest
import torch
from torch import nn

from tivae.data.randomness import generator
from tivae.models.networks import Decoder, Encoder, Residual, kernels_of

IMAGES = torch.randn(3, 1, 28, 28, generator=generator(0, "images"))
WIDTHS = [(4,), (4, 6), (4, 6, 8), (4, 6, 8, 10)]


@pytest.mark.parametrize(("widths", "size"), list(zip(WIDTHS, [14, 7, 4, 2], strict=True)))
def test_the_encoder_halves_the_image_with_every_width(widths, size):
    encoder = Encoder(28, widths)
    assert encoder.layers(IMAGES).shape == (3, widths[-1], size, size)
    assert encoder(IMAGES).shape == (3, encoder.features)
    assert encoder.features == widths[-1] * size**2


@pytest.mark.parametrize("widths", WIDTHS)
def test_the_decoder_comes_back_to_28_x_28(widths):
    decoder = Decoder(5, 28, widths, "linear")
    assert decoder(torch.randn(3, 5)).shape == (3, 1, 28, 28)


def layout(module):
    """Name and channels of every layer."""
    described = []
    for layer in module.layers:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            described.append((type(layer).__name__, layer.in_channels, layer.out_channels, layer.stride[0]))
            assert (layer.kernel_size, layer.padding) == ((3, 3), (1, 1))
        elif isinstance(layer, nn.BatchNorm2d):
            described.append(("BatchNorm2d", layer.num_features))
        else:
            described.append((type(layer).__name__,))
    return described


def block(layer, channels_in, channels_out):
    return [(layer, channels_in, channels_out, 2), ("BatchNorm2d", channels_out), ("LeakyReLU",)]


def test_the_layers_are_those_of_pytorch_vae():
    assert layout(Encoder(28, (32, 64, 128))) == [
        *block("Conv2d", 1, 32),
        *block("Conv2d", 32, 64),
        *block("Conv2d", 64, 128),
    ]
    decoder = Decoder(10, 28, (32, 64, 128), "tanh")
    assert (decoder.input.in_features, decoder.input.out_features) == (10, 128 * 4 * 4)
    assert layout(decoder) == [
        *block("ConvTranspose2d", 128, 64),
        *block("ConvTranspose2d", 64, 32),
        *block("ConvTranspose2d", 32, 32),
        ("Conv2d", 32, 1, 1),
        ("Tanh",),
    ]


def test_tanh_bounds_the_image_and_linear_does_not():
    latents = 1000 * torch.randn(50, 5, generator=generator(0, "latents"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bounded = Decoder(5, 28, (4, 6), "tanh")
        torch.manual_seed(0)
        free = Decoder(5, 28, (4, 6), "linear")
    assert bounded.eval()(latents).abs().max() <= 1
    assert free.eval()(latents).abs().max() > 2.02
    torch.testing.assert_close(bounded(latents), torch.tanh(free(latents)))


def test_an_image_does_not_depend_on_its_batch_in_evaluation_and_does_in_training():
    encoder = Encoder(28, (4, 6))
    torch.testing.assert_close(encoder.eval()(IMAGES)[:1], encoder(IMAGES[:1]), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(encoder.train()(IMAGES)[:1], encoder(IMAGES[:1]))


def test_a_residual_block_is_its_maps_plus_what_its_layers_make_of_them():
    block, maps = Residual(4).eval(), torch.randn(2, 4, 7, 7, generator=generator(0, "maps"))
    torch.testing.assert_close(block(maps), nn.functional.leaky_relu(maps + block.layers(maps)))
    with torch.no_grad():
        block.layers[-1].weight.zero_()
    torch.testing.assert_close(block(maps), nn.functional.leaky_relu(maps))


def test_residual_blocks_stand_behind_each_convolution_and_have_no_compiled_kernels():
    encoder = Encoder(28, (16, 32), residual_blocks=2)
    assert [type(layer).__name__ for layer in encoder.layers] == 2 * [
        *("Conv2d", "BatchNorm2d", "LeakyReLU", "Residual", "Residual"),
    ]
    assert encoder(IMAGES).shape == (3, Encoder(28, (16, 32)).features)
    assert encoder.plan is None
    assert Encoder(28, (16, 32)).plan is not None
    assert kernels_of(encoder) == "torch"
