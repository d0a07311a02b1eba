"""The diagnosis on random small GANs: does its verdict come true, and does its advice help?"""

from ganscope.core.caches import prepare_jax

prepare_jax()
