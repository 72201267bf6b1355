"""Autoencoders of latent diffusion: pictures encoded and decoded again."""

from aigenbench.models.reconstruction.opening import open_autoencoder

__all__ = ["open_autoencoder"]
