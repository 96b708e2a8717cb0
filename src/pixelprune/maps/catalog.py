"""The maps that params.yaml can name. One line a member."""

from typing import Annotated

from pydantic import Field

from pixelprune.maps.background import Background
from pixelprune.maps.blobs import Blobs
from pixelprune.maps.blurred_random import BlurredRandom
from pixelprune.maps.captum import Captum
from pixelprune.maps.centre import Centre
from pixelprune.maps.constant import Constant
from pixelprune.maps.foreground import Foreground
from pixelprune.maps.grad_cam import GradCAM
from pixelprune.maps.gradient import Gradient
from pixelprune.maps.image_pca import ImagePCA
from pixelprune.maps.integrated_gradients import IntegratedGradients
from pixelprune.maps.occlusion import Occlusion
from pixelprune.maps.pca import PCA
from pixelprune.maps.random import Random
from pixelprune.maps.redrawn import Redrawn
from pixelprune.maps.rise import RISE
from pixelprune.maps.shifted import Shifted
from pixelprune.maps.smoothgrad import SmoothGrad
from pixelprune.maps.sobel import Sobel
from pixelprune.maps.vargrad import VarGrad
from pixelprune.maps.variance import Variance

Map = Annotated[
    Background
    | Blobs
    | BlurredRandom
    | Captum
    | Centre
    | Constant
    | Foreground
    | GradCAM
    | Gradient
    | ImagePCA
    | IntegratedGradients
    | Occlusion
    | PCA
    | Random
    | Redrawn
    | RISE
    | Shifted
    | SmoothGrad
    | Sobel
    | VarGrad
    | Variance,
    Field(discriminator="name"),
]
