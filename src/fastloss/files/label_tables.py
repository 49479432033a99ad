"""The labels of three public data sets: Cityscapes, ADE20K and Pascal VOC. `label_maps.py` reads these tables."""

from __future__ import annotations

from collections.abc import Callable

Colour = tuple[int, int, int]
Table = tuple[dict[int, int | None], dict[Colour, int | None], tuple[str, ...]]
"""Label -> class, colour -> class (None: ignored), and the names of the classes."""

CITYSCAPES = """
 -1  -  00008e  license plate
  0  -  000000  unlabeled
  1  -  000000  ego vehicle
  2  -  000000  rectification border
  3  -  000000  out of roi
  4  -  000000  static
  5  -  6f4a00  dynamic
  6  -  510051  ground
  7  0  804080  road
  8  1  f423e8  sidewalk
  9  -  faaaa0  parking
 10  -  e6968c  rail track
 11  2  464646  building
 12  3  66669c  wall
 13  4  be9999  fence
 14  -  b4a5b4  guard rail
 15  -  966464  bridge
 16  -  96785a  tunnel
 17  5  999999  pole
 18  -  999999  polegroup
 19  6  faaa1e  traffic light
 20  7  dcdc00  traffic sign
 21  8  6b8e23  vegetation
 22  9  98fb98  terrain
 23 10  4682b4  sky
 24 11  dc143c  person
 25 12  ff0000  rider
 26 13  00008e  car
 27 14  000046  truck
 28 15  003c64  bus
 29  -  00005a  caravan
 30  -  00006e  trailer
 31 16  005064  train
 32 17  0000e6  motorcycle
 33 18  770b20  bicycle
"""
"""Id, trainId, colour and name, from cityscapesscripts/helpers/labels.py of github.com/mcordts/cityscapesScripts. A `-`
marks the labels that its evaluation ignores. Files `*_labelIds.png` hold the ids, and `*_color.png` the colours."""

ADE20K_NAMES = (
    "wall,building,sky,floor,tree,ceiling,road,bed,windowpane,grass,cabinet,sidewalk,person,earth,door,table,"
    "mountain,plant,curtain,chair,car,water,painting,sofa,shelf,house,sea,mirror,rug,field,armchair,seat,fence,desk,"
    "rock,wardrobe,lamp,bathtub,railing,cushion,base,box,column,signboard,chest of drawers,counter,sand,sink,"
    "skyscraper,fireplace,refrigerator,grandstand,path,stairs,runway,case,pool table,pillow,screen door,stairway,"
    "river,bridge,bookcase,blind,coffee table,toilet,flower,book,hill,bench,countertop,stove,palm,kitchen island,"
    "computer,swivel chair,boat,bar,arcade machine,hovel,bus,towel,light,truck,tower,chandelier,awning,streetlight,"
    "booth,television receiver,airplane,dirt track,apparel,pole,land,bannister,escalator,ottoman,bottle,buffet,"
    "poster,stage,van,ship,fountain,conveyer belt,canopy,washer,plaything,"  # codespell:ignore
    "swimming pool,stool,barrel,basket,waterfall,tent,bag,minibike,cradle,oven,ball,food,step,tank,trade name,"
    "microwave,pot,animal,bicycle,lake,dishwasher,screen,blanket,sculpture,hood,sconce,vase,traffic light,tray,"
    "ashcan,fan,pier,crt screen,plate,monitor,bulletin board,shower,radiator,glass,clock,flag"
)
"""The 150 classes of the scene parsing challenge: the first name of each in objectInfo150.txt, in its order."""

VOC_NAMES = (
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,"
    "pottedplant,sheep,sofa,train,tvmonitor"
)
"""The 21 classes of Pascal VOC, in the order of VOC2012/ImageSets/Main."""

VOC_VOID = 255


def cityscapes() -> Table:
    """Return the 19 classes of the benchmark.

    Three colours repeat. Black is ignored in any case. License plates are never drawn, so their colour means a car. The
    grey of `pole` is also the grey of the ignored `polegroup`; as elsewhere, the colour means the evaluated class.
    """
    ids: dict[int, int | None] = {}
    colours: dict[Colour, int | None] = {}
    names = []
    for row in CITYSCAPES.strip().splitlines():
        label, train_id, packed, name = row.split(maxsplit=3)
        found = None if train_id == "-" else int(train_id)
        ids[int(label)] = found
        colour = rgb(packed)
        if found is not None:
            colours[colour] = found
            names.append(name)
        else:
            colours.setdefault(colour, None)
    return ids, colours, tuple(names)


def ade20k() -> Table:
    """Return the 150 classes. Label 0, which the challenge ignores, is all other objects.

    There is no table of colours, because the challenge's are ambiguous: road and skyscraper are both (140, 140, 140).
    """
    names = tuple(ADE20K_NAMES.split(","))
    ids: dict[int, int | None] = {0: None, **{k + 1: k for k in range(len(names))}}
    return ids, {}, names


def voc() -> Table:
    """Return the 21 classes, of which background is one. Label 255 is the border of the objects, which is ignored."""
    names = tuple(VOC_NAMES.split(","))
    ids: dict[int, int | None] = {**{k: k for k in range(len(names))}, VOC_VOID: None}
    return ids, {voc_colour(label): found for label, found in ids.items()}, names


def voc_colour(label: int) -> Colour:
    """Return the colour as VOCdevkit's `VOClabelcolormap` computes it: bits 0, 3, 6 give red, 1, 4, 7 green, 2, 5 blue.

    The lowest of these bits becomes the highest bit of the channel, and so on.
    """
    red, green, blue = (sum((label >> 3 * k + channel & 1) << 7 - k for k in range(3)) for channel in range(3))
    return red, green, blue


def rgb(text: str) -> Colour:
    """Turn `804080` into (128, 64, 128)."""
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


TABLES: dict[str, Callable[[], Table]] = {"cityscapes": cityscapes, "ade20k": ade20k, "voc": voc}
