"""Families that are no transformers model of one config: CLIP and the like, and those of other libraries."""

from torch import nn

from model_families_hf import CTX, LAYERS, V, llama


def _clip(n):
    import transformers as t

    text = dict(
        vocab_size=V,
        hidden_size=n,
        intermediate_size=2 * n,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=CTX,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    vision = dict(
        hidden_size=n,
        intermediate_size=2 * n,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=16,
        patch_size=8,
    )
    return t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=n))


def _siglip(n):
    import transformers as t

    text = dict(
        vocab_size=V,
        hidden_size=n,
        intermediate_size=2 * n,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=CTX,
        projection_size=n,
    )
    vision = dict(
        hidden_size=n,
        intermediate_size=2 * n,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=16,
        patch_size=8,
    )
    return t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=vision))


def _t5gemma(n):
    import transformers as t

    side = llama(n, pad_token_id=0, query_pre_attn_scalar=n // 4)
    return t.T5GemmaForConditionalGeneration(
        t.T5GemmaConfig(
            encoder=side, decoder=side, vocab_size=V, pad_token_id=0, eos_token_id=1, bos_token_id=2
        )
    )


class LSTM(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.embed, self.lstm, self.head = (
            nn.Embedding(V, n),
            nn.LSTM(n, n, 2, batch_first=True),
            nn.Linear(n, V),
        )

    def forward(self, ids):
        return self.head(self.lstm(self.embed(ids))[0])


class Torch(nn.Module):
    def __init__(self, n):
        super().__init__()
        layer = nn.TransformerEncoderLayer(n, 4, 2 * n, dropout=0.0, batch_first=True)
        self.embed, self.encoder, self.head = (
            nn.Embedding(V, n),
            nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False),
            nn.Linear(n, V),
        )

    def forward(self, ids):
        return self.head(self.encoder(self.embed(ids)))


def _timm(name, **fields):
    def build(n):
        import timm

        given = {key: value(n) if callable(value) else value for key, value in fields.items()}
        return timm.create_model(name, num_classes=5, **given)

    return build


def _x_transformers(n):
    from x_transformers import Decoder, TransformerWrapper

    return TransformerWrapper(
        num_tokens=V, max_seq_len=CTX, attn_layers=Decoder(dim=n, depth=LAYERS, heads=4, attn_dim_head=n // 4)
    )


def _dit(n):
    import diffusers

    return diffusers.DiTTransformer2DModel(
        num_attention_heads=4,
        attention_head_dim=n // 4,
        in_channels=4,
        out_channels=4,
        num_layers=LAYERS,
        sample_size=8,
        patch_size=2,
        norm_num_groups=4,
        num_embeds_ada_norm=10,
    )


def _unet(n):
    import diffusers

    return diffusers.UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        block_out_channels=(n, n),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=n // 4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )


_HEADS = {"embed_dim": lambda n: n, "num_heads": 4, "depth": LAYERS, "img_size": 32, "patch_size": 8}
OTHERS = {
    "clip": _clip,
    "siglip": _siglip,
    "t5gemma": _t5gemma,
    "lstm": LSTM,
    "nn.Transformer": Torch,
    "x-transformers": _x_transformers,
    "timm vit": _timm("vit_tiny_patch16_224", **_HEADS),
    "timm eva": _timm("eva02_tiny_patch14_224", **_HEADS),
    "timm cait": _timm("cait_xxs24_224", **{**_HEADS, "depth_token_only": 1}),
    "timm beit": _timm("beit_base_patch16_224", **_HEADS),
    "timm convnext": _timm("convnext_tiny", depths=(1, 1, 1, 1), dims=lambda n: (n // 2, n // 2, n, n)),
    "timm swin": _timm(
        "swin_tiny_patch4_window7_224",
        embed_dim=lambda n: n // 2,
        depths=(1, 1),
        num_heads=(2, 4),
        img_size=32,
        window_size=4,
    ),
    "diffusers dit": _dit,
    "diffusers unet2d": _unet,
}
